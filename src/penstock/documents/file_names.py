"""The name a file came by, made harmless, and the media type that it and its sender suggest."""

from __future__ import annotations

import mimetypes
import re
import unicodedata
from collections.abc import Collection
from functools import cache

from penstock.domain.errors import TypeNotAccepted
from penstock.reading.kinds import canonical_media_type, media_type_of

_LONGEST = 255  # bytes of UTF-8, as file systems have it; the record holds it and stays small
_BARE = "application/octet-stream"


def clean_name(given: str) -> str:
    """The base name in NFC, without control, format and separator characters, at most 255 bytes; its end is kept,
    which has the suffix. A name of which nothing is left is 'unnamed'."""
    base = re.split(r"[/\\]", given)[-1]
    kept = "".join(c for c in unicodedata.normalize("NFC", base) if unicodedata.category(c)[0] != "C")
    name = " ".join(kept.split())
    if name.strip(". ") == "":
        return "unnamed"
    stem, dot, suffix = name.rpartition(".")
    room = _LONGEST - len((dot + suffix).encode())
    if not stem or room < 1:
        return _cut(name, _LONGEST)
    return _cut(stem, room) + dot + suffix


def accepted_type(name: str, declared: str | None, accepted: Collection[str]) -> str:
    """The media type to go by until the content decides: the name's if that is accepted, else the declared one.

    Raises:
        TypeNotAccepted: neither is accepted.
    """
    said = (declared or _BARE).partition(";")[0].strip().lower()
    named = type_of_name(name)
    for kind in (named, canonical_media_type(said)):
        if kind is not None and kind in accepted:
            return kind
    seen = named if said == _BARE and named is not None else said
    raise TypeNotAccepted(type=seen, accepted=", ".join(sorted(accepted)))


def type_of_name(name: str) -> str | None:
    suffix = "." + name.rpartition(".")[2].lower() if "." in name else ""
    return media_type_of(name) or _known_types().guess_type(f"name{suffix}")[0]


@cache
def _known_types() -> mimetypes.MimeTypes:
    """Python's own table: the machine's files would make acceptance differ from host to host."""
    return mimetypes.MimeTypes(filenames=())


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore")
