"""RTF tokens: control words and symbols, braces, bytes in hexadecimal, and plain text (RTF specification 1.9.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator

Token = re.Match[bytes]
"""A token, whose `lastgroup` is `word` (with the groups `name` and `number`), `byte`, `symbol`, `brace` or `text`.
It is None for what has no meaning: the line ends of the file, and a backslash that begins nothing."""

_TOKEN = re.compile(
    rb"\\(?:(?P<word>(?P<name>[a-zA-Z]{1,32})(?P<number>-?\d{1,10})? ?)"
    rb"|'(?P<byte>[0-9a-fA-F]{2})|(?P<symbol>[^a-zA-Z']))"
    rb"|(?P<brace>[{}])|[\r\n\0]+|(?P<text>[^\\{}\r\n\0]+)|\\"
)


def tokens(content: bytes) -> Iterator[Token]:
    """All tokens except binary data, whose bytes may look like a control word or a brace."""
    return _tokens_around_binary(content) if rb"\bin" in content else _TOKEN.finditer(content)


def _tokens_around_binary(content: bytes) -> Iterator[Token]:
    """The control word `\\binN` is followed by N bytes of binary data."""
    place = 0
    while place < len(content):
        for token in _TOKEN.finditer(content, place):
            place = token.end()
            if token["name"] == b"bin" and token["number"]:
                place += max(0, int(token["number"]))
                break
            yield token
