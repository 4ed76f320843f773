"""Reads a whole file in the format that it turns out to have, and the files within a file as parts of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from penstock.domain.errors import EmptyFile, LimitHit, PasswordRequired, Permanent, Unreadable, UnsupportedType
from penstock.reading.detect import HEAD, detect
from penstock.reading.format import Format, Look
from penstock.reading.protocol import Contained, Read, Scan, Text, Warned
from penstock.reading.registry import formats
from penstock.reading.source import Source
from penstock.reading.text.characters import label
from penstock.reading.text.zip_archive import Contents, look_into

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_LOCKED = "EncryptedPackage".encode("utf-16-le")
"""The name that marks an Office document with a password: such a document lies in a container of the old Office
kind."""


def read_whole(source: Source, first_page: int = 1) -> Iterator[Read]:
    """Yield the frames of a file from this page on.

    Raises:
        Permanent: the file cannot be read; the error says why.
    """
    source = source.in_memory()
    found, warnings, complete = recognized(source)
    last = first_page - 1
    for frame in _frames(found, source, first_page):
        last = frame.number if isinstance(frame, Text | Scan | Contained) else last
        yield frame
    if not complete:
        yield Text(last + 1, "", problem="the file is cut short or damaged; what lay behind this is missing")
    yield from map(Warned, warnings)


def recognized(source: Source) -> tuple[Format, Sequence[str], bool]:
    """The file's format, warnings for its owner about that, and whether the file is complete as far as a look at it
    shows.

    Raises:
        Permanent: the file has no format that Penstock reads; the error says why.
    """
    with source.open() as file:
        head = file.read(HEAD)
    if not head:
        raise EmptyFile
    if head.startswith(_OLE) and _is_locked(source):
        raise PasswordRequired
    contents = look_into(source) if head.startswith(b"PK") else Contents()
    look = Look(head, contents.names, contents.purpose)
    try:
        found, warnings = detect(formats(), look, name=source.name, declared=source.declared)
    except UnsupportedType as error:
        if contents.whole:
            raise
        why = "it is cut short or damaged, and what is left of it is nothing that is read here"
        raise Unreadable(kind="a document", why=why) from error
    return found, warnings, contents.whole


def _frames(found: Format, source: Source, first_page: int) -> Iterator[Read]:
    if first_page == 1:
        return found.read(source)
    if found.read_from is None:
        raise Unreadable(kind=found.kind.title, why=f"its reading cannot begin at page {first_page}")
    return found.read_from(source, first_page)


def within(part: Source, number: int) -> Iterator[Text | Scan | Warned]:
    """Yield the pages of a file that lies in another one. They are numbered as parts of the outer file, from `number`
    on, and the inner file's name is their outermost heading. If the inner file cannot be read, the outer one is read
    on.

    Raises:
        LimitHit: a limit of the outer file was hit, which counts for all files within it.
    """
    name = label(part.name) or "unnamed"
    has_content = False
    try:
        for frame in read_whole(part):
            if isinstance(frame, Text):
                has_content = has_content or bool(frame.text)
                yield _under_name(frame, name, number)
                number += 1
            elif isinstance(frame, Scan):
                has_content = True
                yield replace(frame, number=number)
                number += 1
            elif isinstance(frame, Warned):
                yield Warned(f"{name}: {frame.text}")
    except (UnsupportedType, EmptyFile) as error:
        yield Warned(f"{name} is {error.facts.get('found', 'empty')}, which is not read.")
    except LimitHit:
        raise
    except Permanent as error:
        yield Text(number, "", ((0, (name,)),), problem=f"{name}: {error}"[:500].rstrip("."))
    else:
        if not has_content:
            yield Warned(f"{name} has no text.")


def _under_name(frame: Text, name: str, number: int) -> Text:
    sections = [(offset, (name, *path)) for offset, path in frame.sections]
    if not sections or sections[0][0] > 0:
        sections.insert(0, (0, (name,)))
    problem = frame.problem and f"{name}: {frame.problem}"
    return replace(frame, number=number, sections=tuple(sections), problem=problem)


def _is_locked(source: Source) -> bool:
    rest = b""
    with source.open() as file:
        while block := file.read(1 << 20):
            if _LOCKED in rest + block:
                return True
            rest = block[-len(_LOCKED) :]
    return False
