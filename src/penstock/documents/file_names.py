"""File names: make a sender's file name harmless, and choose a media type by the name and what the sender declared."""

from __future__ import annotations

import mimetypes
import re
import unicodedata
from collections.abc import Collection
from functools import cache

from penstock.domain.errors import TypeNotAccepted
from penstock.reading.kinds import canonical_media_type, media_type_of

LONGEST_NAME = 255
"""The maximum length of a name, in bytes of UTF-8: the limit of file systems. The record holds the name and has to stay
small."""
_UNKNOWN_TYPE = "application/octet-stream"


def clean_name(raw_name: str) -> str:
    """The base name in NFC, without control, format and separator characters, and at most 255 bytes long. A longer name
    is cut before its suffix, which is kept. A name of which nothing remains becomes 'unnamed'."""
    base = re.split(r"[/\\]", raw_name)[-1]
    printable = "".join(c for c in unicodedata.normalize("NFC", base) if unicodedata.category(c)[0] != "C")
    name = " ".join(printable.split())
    if name.strip(". ") == "":
        return "unnamed"
    stem, dot, suffix = name.rpartition(".")
    stem_bytes = LONGEST_NAME - len((dot + suffix).encode())
    if not stem or stem_bytes < 1:
        return _cut(name, LONGEST_NAME)
    return _cut(stem, stem_bytes) + dot + suffix


def accepted_type(name: str, declared: str | None, accepted: Collection[str]) -> str:
    """The media type that is assumed until the content decides: the name's type if that is accepted, else the declared
    type.

    Raises:
        TypeNotAccepted: neither is accepted.
    """
    by_sender = (declared or _UNKNOWN_TYPE).partition(";")[0].strip().lower()
    by_name = type_of_name(name)
    for media_type in (by_name, canonical_media_type(by_sender)):
        if media_type is not None and media_type in accepted:
            return media_type
    refused = by_name if by_sender == _UNKNOWN_TYPE and by_name is not None else by_sender
    raise TypeNotAccepted(type=refused, accepted=", ".join(sorted(accepted)))


def type_of_name(name: str) -> str | None:
    """The media type that the suffix of this name stands for."""
    suffix = "." + name.rpartition(".")[2].lower() if "." in name else ""
    return media_type_of(name) or _known_types().guess_type(f"name{suffix}")[0]


@cache
def _known_types() -> mimetypes.MimeTypes:
    """Python's own table of suffixes: with the machine's own files, acceptance would differ from host to host."""
    return mimetypes.MimeTypes(filenames=())


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore")
