"""ZIP members: the files of an archive as they are, each to become a document of its own. An archive in the archive is
treated like a folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from penstock.domain.errors import EmptyFile, LimitHit, Permanent, Unreadable, UnsupportedType
from penstock.reading.kinds import ZIP
from penstock.reading.parts import recognized
from penstock.reading.protocol import Contained, Opened, Piece, Read, Text, Warned
from penstock.reading.source import Source
from penstock.reading.text.characters import label
from penstock.reading.text.zip_archive import Archive, opened

_HIDDEN = ("__MACOSX/",)
"""Folders that an operating system adds for its own use."""
_PIECE = 1 << 18
"""The maximum size of a piece of a file, in bytes."""


@dataclass(frozen=True, slots=True)
class _File:
    path: tuple[str, ...]
    content: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class _NotTaken:
    """A file that does not become a document."""

    path: tuple[str, ...]
    why: str
    lost: bool = True
    """Whether the file would have been read but for its damage. It is False for a picture or an empty file."""


def names_in(archive: Archive) -> list[str]:
    """
    Raises:
        Unreadable: the archive has no files.
    """
    names = [name for name in archive.members if not _is_hidden(name)]
    if not names:
        raise Unreadable(kind=ZIP.title, why="it has no files")
    return names


def files_apart(source: Source) -> Iterator[Read]:
    """The files, each in pieces. The archive is unfolded twice: first only to check the limits, so that no file is
    taken of an archive that exceeds them."""
    count = sum(1 for _ in _files(source, ()))
    source.unfolded.bytes = source.unfolded.files = 0
    yield Opened(ZIP.name, "zipfile", paged=False, pages=count)
    for number, each in enumerate(_files(source, ()), 1):
        if isinstance(each, _File):
            yield Contained(number, each.path, each.media_type, len(each.content))
            for start in range(0, len(each.content), _PIECE):
                yield Piece(each.content[start : start + _PIECE])
            continue
        name = label("/".join(each.path)) or "unnamed"
        why = f"{name}: {each.why}"[:500].rstrip(".") if each.lost else f"{name} {each.why}"
        yield Text(number, "", ((0, (name,)),), problem=why if each.lost else None)
        yield Warned(f"{why}.")


def _files(source: Source, path: tuple[str, ...]) -> Iterator[_File | _NotTaken]:
    """
    Raises:
        LimitHit: the archive, or all of its files together, exceed a limit.
        Unreadable: the archive does not open, or has no files.
    """
    with opened(source) as archive:
        for name in names_in(archive):
            here = (*path, name)
            _count(source)
            try:
                content = archive.read(name)
                part = source.part(content, name)
                known, _, complete = recognized(part)
                if known.kind is not ZIP:
                    yield _File(here, content, known.kind.media_types[0])
                    continue
                yield from _files(part, here)
                if not complete:
                    yield _NotTaken(here, "it is cut short or damaged; what lay behind this is missing")
            except LimitHit:
                raise
            except (UnsupportedType, EmptyFile) as error:
                yield _NotTaken(here, f"is {error.facts.get('found', 'empty')}, which is not read", lost=False)
            except Permanent as error:
                yield _NotTaken(here, str(error.facts.get("why", error)))


def _count(source: Source) -> None:
    source.unfolded.files += 1
    if source.unfolded.files > source.limits.archive_entries:
        raise source.limits.hit("archive_entries", "entries")


def _is_hidden(name: str) -> bool:
    return name.startswith(_HIDDEN) or name.rpartition("/")[2] in {".DS_Store", "Thumbs.db"}
