"""Markdown: plain text whose headings are the sections."""

from __future__ import annotations

import re
from collections.abc import Iterator

from penstock.reading.format import Format
from penstock.reading.formats.text import guess_warning, match, open_text, parts, undecodable
from penstock.reading.kinds import MARKDOWN
from penstock.reading.protocol import Opened, Read, Text
from penstock.reading.source import Source
from penstock.reading.text.encoding import encoding_of

_HEADING = re.compile(r" {0,3}(#{1,6})(?=[ \t]|$)")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r" {0,3}(?:(?:[-+*]|\d{1,9}[.)])[ \t]{1,4}){0,3}(`{3,}+(?!.*`)|~{3,})")
"""The line that opens a code block. It may be the first line of a list item."""
_NO_PARAGRAPH = re.compile(r"\s*$| {4}|\t| {0,3}(?:>|[-+*][ \t]|\d{1,9}[.)][ \t]|<|\|)")
_PICTURE = re.compile(r"!\[([^\]]*)\]\([^)]*\)")
_INLINE = re.compile(r"\[([^\]]*)\]\([^)]*\)|[`*]+")

_LONGEST_TITLE = 200


def read(source: Source) -> Iterator[Read]:
    encoding = encoding_of(source)
    yield Opened("markdown", encoding.codec, paged=False)
    yield from guess_warning(encoding)
    outline = Outline()
    with open_text(source, encoding) as stream:
        for number, part in enumerate(parts(stream), 1):
            yield Text(number, part, tuple(outline.sections(part)))
            if encoding.guessed and "\ufffd" in part:
                yield undecodable(number, encoding)


class Outline:
    """Keeps the path of headings from one part of the document to the next."""

    def __init__(self) -> None:
        self._path: list[tuple[int, str]] = []
        self._fence = ""
        """The characters that close the open code block. It is empty outside of code blocks."""
        self._in_metadata = False
        self._in_comment = False
        self._paragraph: tuple[int, str] | None = None
        """The previous line with its offset, if a line of dashes below it would make it a heading."""
        self._started = False
        """Whether the first line of the document was seen."""

    def sections(self, part: str) -> Iterator[tuple[int, tuple[str, ...]]]:
        """The sections of the part: where each starts, and its path of titles. The first may go on from the part
        before."""
        if self._path:
            yield 0, self._titles()
        offset = 0
        for line in part.splitlines(keepends=True):
            found = self._heading(line.rstrip("\n"), offset)
            if found is not None:
                start, level, title = found
                self._path = [*(entry for entry in self._path if entry[0] < level), (level, title)]
                yield start, self._titles()
            offset += len(line)
        if self._paragraph is not None:
            self._paragraph = (0, self._paragraph[1])

    def _titles(self) -> tuple[str, ...]:
        return tuple(title for _, title in self._path)

    def _heading(self, line: str, offset: int) -> tuple[int, int, str] | None:
        """The start, level and title of the heading that ends with this line. It is None if no heading ends here."""
        before, self._paragraph = self._paragraph, None
        if self._is_metadata(line) or self._is_comment(line) or self._is_code(line):
            return None
        if (heading := _HEADING.match(line)) is not None:
            return offset, len(heading[1]), _plain(line[heading.end() :])
        if before is not None and (underline := _UNDERLINE.match(line)) is not None:
            return before[0], 1 if underline[1][0] == "=" else 2, _plain(before[1])
        if _NO_PARAGRAPH.match(line) is None:
            self._paragraph = (offset, line)
        return None

    def _is_metadata(self, line: str) -> bool:
        """Whether the line belongs to the metadata at the start of a document, between lines of three dashes."""
        first, self._started = not self._started, True
        if first and line.rstrip() == "---":
            self._in_metadata = True
            return True
        inside = self._in_metadata
        if inside and line.rstrip() in {"---", "..."}:
            self._in_metadata = False
        return inside

    def _is_comment(self, line: str) -> bool:
        """Whether the line belongs to a comment, whose text is no heading."""
        starts = not self._fence and not self._in_comment and line.lstrip(" ").startswith("<!--")
        inside = self._in_comment or starts
        if inside:
            self._in_comment = "-->" not in line
        return inside

    def _is_code(self, line: str) -> bool:
        """Whether the line belongs to a code block between fences."""
        if self._fence:
            closing = line.strip()
            if closing.startswith(self._fence) and not closing.strip(self._fence[0]):
                self._fence = ""
            return True
        if (fence := _FENCE.match(line)) is not None:
            self._fence = fence[1]
            return True
        return False


def _plain(title: str) -> str:
    """The title without closing marks, links and emphasis."""
    title = title.strip()[:_LONGEST_TITLE]
    unclosed = title.rstrip("#")
    if not unclosed or unclosed[-1].isspace():
        title = unclosed
    return _INLINE.sub(lambda found: found[1] or "", _PICTURE.sub(r"\1", title)).strip()


FORMAT = Format(MARKDOWN, match=match, read=read)
