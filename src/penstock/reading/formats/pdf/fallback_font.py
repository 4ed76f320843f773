"""Fallback font: replaces Chinese, Japanese and Korean fonts that a PDF names but does not contain.

pdfium leaves out a piece of text whose characters have no outline. Where such a font is not installed, no character has
one, so that nothing comes out of pages whose characters are placed one by one, as in vertical writing and recognized
text. So pdfium is given a font in which every character is a box. pdfium has substitutes of its own for other fonts.
Installed fonts are not looked for: what comes out of a file does not depend on the machine, and no further file is
opened."""

from __future__ import annotations

import ctypes
import struct
from functools import cache
from typing import Any

_CHARSETS = frozenset({128, 129, 130, 134, 136})
"""The character sets that get this font: Japanese, Korean (two), simplified and traditional Chinese. The numbers are
those of pdfium (public/fpdf_sysfontinfo.h)."""
_HANDLE = 1
"""The handle by which pdfium asks for the data of the font. There is only one font."""
_EM, _ASCENT, _DESCENT = 1000, 880, -120


@cache
def install() -> Any:
    """Make pdfium use the font. The result has to live as long as pdfium does, which the cache ensures."""
    from pypdfium2 import raw  # noqa: PLC0415 - other formats do not need it

    face = font()

    def map_font(_this: object, _weight: int, _italic: int, charset: int, *_: object) -> int | None:
        return _HANDLE if charset in _CHARSETS else None

    def data(_this: object, _handle: object, table: int, buffer: Any, size: int) -> int:
        """Copy the whole font, which pdfium calls table 0, into the buffer. Without a buffer only its size is
        wanted."""
        if table:
            return 0
        if buffer and size >= len(face):
            ctypes.memmove(buffer, face, len(face))
        return len(face)

    answers = {
        "Release": lambda *_: None,
        "MapFont": map_font,
        "GetFont": lambda *_: None,
        "GetFontData": data,
        "GetFaceName": lambda *_: 0,
        "GetFontCharset": lambda *_: 1,
        "DeleteFont": lambda *_: None,
    }
    info = raw.FPDF_SYSFONTINFO(version=2)  # the version in which fonts are not listed
    for name, kind in raw.FPDF_SYSFONTINFO._fields_:
        if name in answers:
            setattr(info, name, kind(answers[name]))
    raw.FPDF_SetSystemFontInfo(ctypes.byref(info))
    return info


def font() -> bytes:
    """A TrueType font in which each character is the same box. The tables are in the order of OpenType 1.9."""
    box = struct.pack(">5hHH4B8h", 1, 0, _DESCENT, _EM, _ASCENT, 3, 0, 1, 1, 1, 1, 0, 0, _EM, 0, _DESCENT, _EM, 0, -_EM)
    many_to_one = struct.pack(">HHIIIIII", 13, 0, 28, 0, 1, 0x21, 0x10FFFF, 1)
    tables = {
        b"cmap": struct.pack(">HHHHI", 0, 1, 3, 10, 12) + many_to_one,
        b"glyf": box + box,
        b"head": struct.pack(
            ">4I2H2Q4hHHhhh", 0x10000, 0, 0, 0x5F0F3CF5, 0, _EM, 0, 0, 0, _DESCENT, _EM, _ASCENT, 0, 8, 2, 1, 0
        ),
        b"hhea": struct.pack(">I3hH11hH", 0x10000, _ASCENT, _DESCENT, 0, _EM, 0, 0, _EM, 1, 0, 0, 0, 0, 0, 0, 0, 1),
        b"hmtx": struct.pack(">Hhh", _EM, 0, 0),
        b"loca": struct.pack(">3I", 0, len(box), 2 * len(box)),
        b"maxp": struct.pack(">I14H", 0x10000, 2, 4, 1, 0, 0, 1, *[0] * 8),
        b"name": struct.pack(">3H", 0, 0, 6),
        b"post": struct.pack(">IIhh5I", 0x30000, 0, 0, 0, *[0] * 5),
    }
    count = len(tables)
    directory = struct.pack(">I4H", 0x10000, count, 128, 3, 16 * count - 128)
    body = b""
    for tag, table in tables.items():
        directory += tag + struct.pack(">3I", 0, 12 + 16 * count + len(body), len(table))
        body += table + bytes(-len(table) % 4)
    return directory + body
