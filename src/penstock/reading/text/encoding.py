"""Finds out which encoding a text is in: by its first bytes, by what its sender declared, and by what it looks like."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import BinaryIO

from penstock.reading.source import Source
from penstock.reading.text.byte_order import marked
from penstock.reading.text.encoding_names import codec_of
from penstock.reading.text.guess_encoding import guess

_BLOCK = 1 << 20
_LONGEST_CHARACTER = 4
"""The maximum size of a character in UTF-8, in bytes."""
_SAMPLE = 1 << 15
"""The size of each sample by which an encoding is guessed, in bytes. One is the start of the text, the other is where
it stops being UTF-8."""
_ESCAPES = (
    (re.compile(rb"\x1b\$[@B]"), "iso2022_jp_ext"),
    (re.compile(rb"\x1b\$\)C"), "iso2022_kr"),
)
"""The escape sequences that mark the encodings of seven bits."""
_CHARSET = re.compile(r";\s*charset=[\"']?([\w.:+-]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Encoding:
    """A codec, and whether it is a guess. If it is one, bytes that it cannot decode become U+FFFD."""

    codec: str
    guessed: bool = False


def encoding_of(source: Source, declared: str | None = None) -> Encoding:
    """The encoding of a text. The first of these steps that finds one decides:

    1. The first bytes: a byte order mark, the NULs of UTF-16 and UTF-32, or an escape sequence of a seven-bit encoding.
    2. UTF-8, if the whole text is valid UTF-8, which text of another encoding hardly ever is.
    3. The declared encoding, if a sample of the text can be decoded in it.
    4. A guess by samples of the text.

    An example is "Ürün" in cp1254, the bytes DC 72 FC 6E. There is no mark, and DC 72 is not valid UTF-8. If the sender
    declared windows-1254, in which all four bytes have a meaning, it is that. If not, the guess finds that the text
    spells German words in cp1252 just as well as Turkish ones in cp1254, and takes the more common cp1252.
    """
    with source.open() as file:
        head = file.read(_SAMPLE)
        if codec := marked(head) or _escaped(head):
            return Encoding(codec)
        utf8, end = _utf8(file, head)
        if utf8 is not None:
            return utf8
        start = file.seek(max(0, end - _SAMPLE // 2))
        sample = file.read(_SAMPLE)
    stated = codec_of(declared or _charset(source.declared))
    if stated and stated != "utf-8" and _is_in(sample, stated):
        return Encoding(stated)
    return Encoding(guess(head, sample) if start else guess(sample), guessed=True)


def decoded(content: bytes, declared: str | None) -> str:
    """The text of these bytes, whose encoding may have been declared."""
    return content.decode(encoding_of(Source(content), declared).codec, errors="replace")


def _escaped(head: bytes) -> str | None:
    if b"\x1b$" not in head or not head.isascii():
        return None
    return next((codec for pattern, codec in _ESCAPES if pattern.search(head)), None)


def _utf8(file: BinaryIO, head: bytes) -> tuple[Encoding | None, int]:
    """UTF-8 or None, and the offset up to which the text is valid UTF-8. `head` has been read from the file already."""
    decoder, block, end = codecs.getincrementaldecoder("utf-8")(), head, 0
    only_ascii = True
    while block:
        try:
            decoder.decode(block)
        except UnicodeDecodeError as error:
            return None, end + error.start
        end += len(block)
        only_ascii = only_ascii and block[:-_LONGEST_CHARACTER].isascii()
        block = file.read(_BLOCK)
    if not decoder.getstate()[0]:
        return Encoding("utf-8"), end
    # A text with characters beyond ASCII that ends within one is UTF-8 that was cut short. If the incomplete character
    # is the only one, it is more likely a letter in another encoding.
    return None if only_ascii else Encoding("utf-8", guessed=True), end


def _charset(media_type: str | None) -> str | None:
    found = _CHARSET.search(media_type or "")
    return found[1] if found else None


def _is_in(sample: bytes, codec: str) -> bool:
    """Whether the codec decodes the sample, save at most one of a hundred characters beyond ASCII."""
    text = sample.decode(codec, errors="replace")
    cut = 2 if len(sample) == _SAMPLE else 0  # the first and the last character may be incomplete
    return (text.count("\ufffd") - cut) * 100 <= sum(character > "\x7f" for character in text)
