"""Highlighting: the snippet of a hit, which is HTML, as text for the terminal."""

from __future__ import annotations

import html
import re

from rich.text import Text


def highlighted(snippet: str, style: str) -> Text:
    """The snippet's text, with what stands in `<mark>` in this style."""
    text = Text()
    for index, piece in enumerate(re.split(r"</?mark>", snippet)):
        text.append(html.unescape(piece), style if index % 2 else "")
    return text
