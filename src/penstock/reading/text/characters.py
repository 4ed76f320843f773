"""Characters: which of them a page's text, or a name that is shown, may hold."""

from __future__ import annotations

import re
import unicodedata

_UNWANTED = re.compile("[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]+")
_LINE_END = re.compile("\r\n?|[\x0b\x0c]")
_LONGEST_LABEL = 255


def legible(text: str) -> str:
    """The text without controls, lone surrogates, byte order marks and non-characters (pdfium marks a hyphen at the
    end of a line, which it removed together with it, by U+FFFE), and with `\\n` as the only line end."""
    return _LINE_END.sub("\n", _UNWANTED.sub("", text))


def label(name: str) -> str:
    """A name from within a file, as it may be shown."""
    return one_line(name)[:_LONGEST_LABEL]


def one_line(name: str) -> str:
    """Composed, on one line, without what turns the line around."""
    kept = "".join(c for c in unicodedata.normalize("NFC", name) if unicodedata.category(c)[0] != "C")
    return " ".join(kept.split())
