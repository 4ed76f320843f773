"""Detects which format a file has. Its content decides first, then its name, then the media type its sender
declared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from penstock.domain.errors import UnsupportedType
from penstock.reading.format import Format, Look, Match

HEAD = 8192
"""The number of bytes at the start of a file that are looked at."""

_OTHER_SIGNATURES = {
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
"""What a file is that Penstock does not read, by its first bytes."""
_OTHER_PURPOSES = {
    "application/vnd.oasis.opendocument.spreadsheet": "an OpenDocument spreadsheet (ODS)",
    "application/vnd.oasis.opendocument.presentation": "an OpenDocument presentation (ODP)",
    "application/vnd.oasis.opendocument.graphics": "an OpenDocument drawing (ODG)",
}
"""What an archive is that Penstock does not read, by the media type in its member `mimetype`."""
_OTHER_MEMBERS = {
    "xl/workbook.bin": "a binary workbook (XLSB)",
    "visio/document.xml": "a Visio drawing",
    "Index/Document.iwa": "a document of Pages, Numbers or Keynote",
    "[Content_Types].xml": "an Office package without a text, a presentation or a workbook in it",
}
"""What an archive is that no format matches with certainty, by the name of one of its members."""
_UNKNOWN_TYPES = {"application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded", ""}
"""Media types that senders use if they do not know the type."""


def detect(formats: Sequence[Format], look: Look, *, name: str, declared: str | None) -> tuple[Format, tuple[str, ...]]:
    """The format, and a warning if the name says otherwise and another if the declared media type does.

    Raises:
        UnsupportedType: the file has none of these formats.
    """
    suffix = PurePath(name.lower()).suffix
    media_type = (declared or "").partition(";")[0].strip().lower()
    named = [each for each in formats if suffix in each.kind.suffixes]
    typed = [each for each in formats if media_type in each.kind.media_types]
    found = _by_content(formats, look, [*named, *typed])
    warnings = []
    if named and found not in named:
        warnings.append(f"The name ends in {suffix}, but the content is {found.kind.title}.")
    # Plain text may well be of a text type that no format here has, such as text/x-python.
    contradicts = found not in typed and (typed or not media_type.startswith("text/"))
    if media_type not in _UNKNOWN_TYPES and contradicts:
        warnings.append(f"It was sent as {media_type}, but the content is {found.kind.title}.")
    return found, tuple(warnings)


def _by_content(formats: Sequence[Format], look: Look, claimed: Sequence[Format]) -> Format:
    """The format that matches best. Of formats that match equally well, it is the one that the name claims, else the
    one that the declared media type claims, else the first."""
    best, found = Match.NO, formats[0]
    for each in dict.fromkeys((*claimed, *formats)):
        if best is Match.CERTAIN:
            break
        if (match := each.match(look)) > best:
            best, found = match, each
    other = _other_archive(look) if look.members else _other_file(look)
    if best < (Match.CERTAIN if look.members else Match.ALMOST) and other is not None:
        raise _unsupported(formats, other)
    if best is not Match.NO:
        return found
    raise _unsupported(formats, "binary data of no known kind")


def _other_file(look: Look) -> str | None:
    return next((title for signature, title in _OTHER_SIGNATURES.items() if look.head.startswith(signature)), None)


def _other_archive(look: Look) -> str | None:
    if look.purpose:
        titles = (title for purpose, title in _OTHER_PURPOSES.items() if look.purpose.startswith(purpose))
        return next(titles, f"an archive of type {look.purpose}")
    return next((title for member, title in _OTHER_MEMBERS.items() if member in look.members), None)


def _unsupported(formats: Sequence[Format], found: str) -> UnsupportedType:
    return UnsupportedType(found=found, accepted=", ".join(each.kind.title for each in formats))
