"""Mail headers: parsed as people send them, and decoded into text."""

from __future__ import annotations

import binascii
import quopri
import re
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING

from penstock.reading.text.encoding import decoded

if TYPE_CHECKING:
    from email.message import Message
    from email.policy import Policy

_WORD = re.compile(r"=\?([^?\s*]*)[^?\s]*\?([bq])\?(.*?)\?=", re.IGNORECASE)
"""An encoded word: its charset, how its bytes are written, and these (RFC 2047, section 2)."""
_WORDS = re.compile(r"=\?[^?\s]*\?[bq]\?.*?\?=(?:\s*=\?[^?\s]*\?[bq]\?.*?\?=)*", re.IGNORECASE)
"""Encoded words that follow each other, with nothing but blanks between."""


@cache
def header_policy() -> Policy[Message]:
    """How the library parses headers. Its newer policies fail on headers that people send, and its old one loses
    characters that are not ASCII, so this is the old one with these characters kept."""
    from email.policy import Compat32  # noqa: PLC0415 - other formats do not need it

    class AsSent(Compat32):
        def header_fetch_parse(self, name: str, value: str) -> str:  # noqa: ARG002 - the library's signature
            return value if value.isascii() else decoded(value.encode("utf-8", "surrogateescape"), None)

    return AsSent()


def decoded_header(header: str) -> str:
    """The text of a header, on one line (RFC 2047). Blanks between two encoded words are dropped. A character may start
    in one encoded word and end in the next."""
    if "=?" in header:
        header = _WORDS.sub(_decoded_words, header)
    return " ".join(header.split())


def _decoded_words(found: re.Match[str]) -> str:
    words = _WORD.findall(found[0])
    try:
        return "".join(
            decoded(b"".join(_bytes_of(encoding, text) for _, encoding, text in run), charset)
            for charset, run in groupby(words, key=lambda word: word[0].lower())
        )
    except binascii.Error:
        return found[0]


def _bytes_of(encoding: str, text: str) -> bytes:
    if encoding in "qQ":
        return quopri.decodestring(text.encode(), header=True)
    return binascii.a2b_base64(text.encode() + b"==")
