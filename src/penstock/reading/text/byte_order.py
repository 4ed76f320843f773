"""Recognizes UTF-8, UTF-16 and UTF-32 by the byte order mark, and UTF-16 and UTF-32 without one by how they look."""

from __future__ import annotations

import codecs

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # starts with the mark of UTF-16, so it is looked for first
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")

_SWAPPED = "\u2000\u0a00\u0d00\ufffd"
"""What a space and the two line ends become if they are read in the wrong byte order, and the mark of bytes that could
not be decoded."""

_LOOK = 1024
"""The number of bytes by which UTF-16 and UTF-32 without a mark are recognized."""


def marked(head: bytes) -> str | None:
    """The codec of a text that begins with a byte order mark, or whose characters take two or four bytes."""
    known = next((codec for mark, codec in _BOMS if head.startswith(mark)), None)
    return _wide(head[:_LOOK]) if known is None and b"\0" in head else known


def _wide(head: bytes) -> str | None:
    """The codec of UTF-16 or UTF-32 without a mark: in it, the bytes are printable text with spaces."""
    for codec in _WIDE:
        unit = 4 if "32" in codec else 2
        text = head[: len(head) // unit * unit].decode(codec, errors="replace")
        strange = sum((not each.isprintable() and each not in "\t\n\r\f") or each in _SWAPPED for each in text)
        if strange * 50 <= len(text) and any(map(str.isspace, text)):
            return codec
    return None
