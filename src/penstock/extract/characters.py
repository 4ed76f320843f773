"""Characters: which of them a page's text may hold."""

from __future__ import annotations

import re

_UNWANTED = re.compile("[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]+")
_LINE_END = re.compile("\r\n?|[\x0b\x0c]")


def legible(text: str) -> str:
    """The text without controls, lone surrogates and non-characters (pdfium marks a hyphen at a line's end, which it
    removed together with the line's end, by U+FFFE), and with `\\n` as the only line end."""
    return _LINE_END.sub("\n", _UNWANTED.sub("", text))
