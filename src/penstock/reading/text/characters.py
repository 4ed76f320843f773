"""Removes characters that the text of a page, or a name that is shown, must not contain."""

from __future__ import annotations

import re
import unicodedata

_UNWANTED = re.compile("[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]+")
_LINE_END = re.compile("\r\n?|[\x0b\x0c]")
_LONGEST_LABEL = 255


def legible(text: str) -> str:
    """The text without control characters, lone surrogates, byte order marks and non-characters, and with `\\n` as the
    only line end. One of the non-characters is U+FFFE: pdfium puts it where it removed a hyphen and a line end."""
    return _LINE_END.sub("\n", _UNWANTED.sub("", text))


def label(name: str) -> str:
    """A name from within a file, made safe to show."""
    return one_line(name)[:_LONGEST_LABEL]


def one_line(name: str) -> str:
    """The name in composed characters, on one line, and without controls such as those that reverse the direction of
    text."""
    kept = "".join(c for c in unicodedata.normalize("NFC", name) if unicodedata.category(c)[0] != "C")
    return " ".join(kept.split())
