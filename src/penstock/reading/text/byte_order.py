"""Byte order marks, and texts of two or four bytes a character that have none."""

from __future__ import annotations

import codecs

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as UTF-16's does, so it is looked for first
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


_WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")


_TURNED = "\u2000\u0a00\u0d00\ufffd"
"""Blanks and line ends that were read the wrong way round."""


_LOOK = 1024
"""Bytes that tell these apart."""


def marked(head: bytes) -> str | None:
    """The codec of a text that begins with a byte order mark, or whose characters take two or four bytes."""
    known = next((codec for mark, codec in _BOMS if head.startswith(mark)), None)
    return _wide(head[:_LOOK]) if known is None and b"\0" in head else known


def _wide(head: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark: it decodes, and to something that people write."""
    for codec in _WIDE:
        unit = 4 if "32" in codec else 2
        text = head[: len(head) // unit * unit].decode(codec, errors="replace")
        strange = sum((not each.isprintable() and each not in "\t\n\r\f") or each in _TURNED for each in text)
        if strange * 50 <= len(text) and any(map(str.isspace, text)):
            return codec
    return None
