"""Parts: a whole file read as what it turns out to be, and the files within a file read as parts of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from penstock.domain.errors import EmptyFile, LimitHit, PasswordRequired, Permanent, Unreadable, UnsupportedType
from penstock.reading.detect import HEAD, detect
from penstock.reading.format import Format, Look
from penstock.reading.protocol import Contained, Read, Scan, Text, Warned
from penstock.reading.source import Source
from penstock.reading.text.characters import label
from penstock.reading.text.zip_archive import Contents, look_into

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_LOCKED = "EncryptedPackage".encode("utf-16-le")
"""By which an Office document with a password is known: it lies in a container of the old kind."""


def whole(source: Source, first_page: int = 1) -> Iterator[Read]:
    """
    Raises:
        Permanent: it cannot be read; why.
    """
    source = source.held()
    known, warnings, complete = recognized(source)
    last = first_page - 1
    for frame in _frames(known, source, first_page):
        last = frame.number if isinstance(frame, Text | Scan | Contained) else last
        yield frame
    if not complete:
        yield Text(last + 1, "", problem="the file is cut short or damaged; what lay behind this is missing")
    yield from map(Warned, warnings)


def recognized(source: Source) -> tuple[Format, Sequence[str], bool]:
    """What it is, what its owner may want to know of that, and whether it is all there, as far as a look shows.

    Raises:
        Permanent: it is nothing that is read; why.
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
        known, warnings = detect(source.formats, look, name=source.name, declared=source.declared)
    except UnsupportedType as error:
        if contents.whole:
            raise
        why = "it is cut short or damaged, and what is left of it is nothing that is read here"
        raise Unreadable(kind="a document", why=why) from error
    return known, warnings, contents.whole


def _frames(known: Format, source: Source, first_page: int) -> Iterator[Read]:
    if first_page == 1:
        return known.read(source)
    if known.read_from is None:
        raise Unreadable(kind=known.of.title, why=f"its reading cannot begin at page {first_page}")
    return known.read_from(source, first_page)


def within(part: Source, number: int) -> Iterator[Text | Scan | Warned]:
    """What lies in another file: its pages, numbered as parts from `number` on, under its name as the outermost
    heading. What cannot be read of it costs itself alone.

    Raises:
        LimitHit: the limits are those of the outer file.
    """
    name = label(part.name) or "unnamed"
    said = False
    try:
        for frame in whole(part):
            if isinstance(frame, Text):
                said = said or bool(frame.text)
                yield _placed(frame, name, number)
                number += 1
            elif isinstance(frame, Scan):
                said = True
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
        if not said:
            yield Warned(f"{name} has no text.")


def _placed(frame: Text, name: str, number: int) -> Text:
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
