"""The names that senders use for encodings, and the Python codecs that they mean."""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

_TEXTUAL = re.compile(r"(?:utf-|cp|iso8859-|iso2022|koi8|mac-|euc_|shift_jis|big5|gb|johab|tis|ptcp|kz|ascii)")
"""The Python codecs that are encodings of text. Of the others, most are something else, and some are slow."""
_WIDER = {
    "ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874", "tis-620": "cp874",
    "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949", "big5": "big5hkscs",
    "iso2022_jp": "iso2022_jp_ext",
}  # fmt: skip
"""Text that is declared as a standard encoding is often in the larger set that a vendor made of it (WHATWG, "Encoding",
4.2)."""
_ALIASES = {
    "ansi": "cp1252", "gb_2312": "gb18030", "gb_2312_80": "gb18030", "koi8_ru": "koi8_u", "ks_c_5601": "cp949",
    "ksc_5601": "cp949", "macintosh": "mac_roman", "sjis": "cp932", "unicode": "utf-16", "unicode_1_1_utf_8": "utf-8",
    "windows_31j": "cp932",
}  # fmt: skip
_CODE_PAGE = re.compile(r"(?:windows|win|cp|dos)_?(\d{3,5})")
_ISO_8859_PART = re.compile(r"iso_?8859_?(\d\d?)(?:_[ie])?")
"""A part of ISO 8859. The suffix that may follow says in which direction Hebrew was stored."""


@lru_cache(256)
def codec_of(label: str | None) -> str | None:
    """The codec that a sender's name for an encoding means. It is None for a name of no encoding, and for ASCII: a text
    that is declared as ASCII and has other bytes may be in any encoding."""
    name = (label or "").strip().strip("\"'").lower().replace("-", "_").removeprefix("x_").partition("_19")[0]
    name = _ISO_8859_PART.sub(r"iso8859_\1", _CODE_PAGE.sub(r"cp\1", _ALIASES.get(name, name)))
    for each in (name, f"x_{name}"):
        try:
            codec = codecs.lookup(each).name
        except (LookupError, ValueError):
            continue
        if codec != "ascii" and _TEXTUAL.match(codec):
            return _WIDER.get(codec, codec)
    return None
