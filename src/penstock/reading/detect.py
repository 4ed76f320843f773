"""Detect: which format a file is of. Its content decides first, then its name, then the type its sender declared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from penstock.domain.errors import UnsupportedType
from penstock.reading.format import Format, Look, Match

HEAD = 8192
"""How many of a file's first bytes are looked at."""

_FOREIGN = {
    b"PK\x03\x04": "a ZIP archive that is cut short or damaged",
    b"PK\x05\x06": "an empty ZIP archive",
    b"PK\x07\x08": "one of the files that a ZIP archive was split into",
    b"PK00PK": "one of the files that a ZIP archive was split into",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an Office file of the old binary kind (DOC, XLS, PPT, MSG)",
    b"\x78\x9f\x3e\x22": "an attachment of Outlook's own kind (TNEF)",
    b"%!PS": "a PostScript program",
    b"\x1f\x8b": "a gzip archive",
    b"BZh91AY": "a bzip2 archive",
    b"\xfd7zXZ\x00": "an xz archive",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\x89PNG\r\n": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF87a": "a GIF image",
    b"GIF89a": "a GIF image",
    b"II*\x00": "a TIFF image",
    b"MM\x00*": "a TIFF image",
    b"\x7fELF": "a program",
    b"MZ\x90\x00": "a program",
    b"ID3\x03\x00": "an MP3 recording",
    b"ID3\x04\x00": "an MP3 recording",
    b"SQLite format 3\x00": "a SQLite database",
}
_PURPOSES = {
    "application/vnd.oasis.opendocument.spreadsheet": "an OpenDocument spreadsheet (ODS)",
    "application/vnd.oasis.opendocument.presentation": "an OpenDocument presentation (ODP)",
    "application/vnd.oasis.opendocument.graphics": "an OpenDocument drawing (ODG)",
}
_MARKS = {
    "xl/workbook.bin": "a binary workbook (XLSB)",
    "visio/document.xml": "a Visio drawing",
    "Index/Document.iwa": "a document of Pages, Numbers or Keynote",
    "[Content_Types].xml": "an Office package without a text, a presentation or a workbook in it",
}
"""Members by which an archive is known that is no folder of documents."""
_UNTOLD = {"application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded", ""}
"""Types by which a sender says that it does not know."""


def detect(formats: Sequence[Format], look: Look, *, name: str, declared: str | None) -> tuple[Format, tuple[str, ...]]:
    """The format, and a warning for each of name and declared type that says otherwise.

    Raises:
        UnsupportedType: it is none of these formats.
    """
    suffix = PurePath(name.lower()).suffix
    media_type = (declared or "").partition(";")[0].strip().lower()
    named = [known for known in formats if suffix in known.of.suffixes]
    typed = [known for known in formats if media_type in known.of.media_types]
    found = _by_content(formats, look, [*named, *typed])
    warnings = []
    if named and found not in named:
        warnings.append(f"The name ends in {suffix}, but the content is {found.of.title}.")
    told = typed or not media_type.startswith("text/")  # of the texts that are unknown here, it may well be one
    if media_type not in _UNTOLD and told and found not in typed:
        warnings.append(f"It was sent as {media_type}, but the content is {found.of.title}.")
    return found, tuple(warnings)


def _by_content(formats: Sequence[Format], look: Look, claimed: Sequence[Format]) -> Format:
    """The best match; among equal ones the one that the name claims, else the declared type, else the first."""
    best, found = Match.NO, formats[0]
    for known in dict.fromkeys((*claimed, *formats)):
        if best is Match.CERTAIN:
            break
        if (match := known.match(look)) > best:
            best, found = match, known
    foreign = _foreign_archive(look) if look.members else _foreign(look)
    if best < (Match.CERTAIN if look.members else Match.ALMOST) and foreign is not None:
        raise _unsupported(formats, foreign)
    if best is not Match.NO:
        return found
    raise _unsupported(formats, "binary data of no known kind")


def _foreign(look: Look) -> str | None:
    return next((title for signature, title in _FOREIGN.items() if look.head.startswith(signature)), None)


def _foreign_archive(look: Look) -> str | None:
    if look.purpose:
        titles = (title for purpose, title in _PURPOSES.items() if look.purpose.startswith(purpose))
        return next(titles, f"an archive of type {look.purpose}")
    return next((title for mark, title in _MARKS.items() if mark in look.members), None)


def _unsupported(formats: Sequence[Format], found: str) -> UnsupportedType:
    return UnsupportedType(found=found, accepted=", ".join(known.of.title for known in formats))
