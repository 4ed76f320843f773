"""Markdown: plain text whose headings make section paths."""

from __future__ import annotations

import re
from collections.abc import Iterator

from penstock.reading.format import Format
from penstock.reading.formats.text import guessed, match, opened, parts, undecodable
from penstock.reading.kinds import MARKDOWN
from penstock.reading.protocol import Opened, Read, Text
from penstock.reading.source import Source
from penstock.reading.text.encoding import encoding_of

_HEADING = re.compile(r" {0,3}(#{1,6})(?=[ \t]|$)")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r" {0,3}(?:(?:[-+*]|\d{1,9}[.)])[ \t]{1,4}){0,3}(`{3,}+(?!.*`)|~{3,})")
"""An item of a list may begin with one."""
_NO_PARAGRAPH = re.compile(r"\s*$| {4}|\t| {0,3}(?:>|[-+*][ \t]|\d{1,9}[.)][ \t]|<|\|)")
_PICTURE = re.compile(r"!\[([^\]]*)\]\([^)]*\)")
_INLINE = re.compile(r"\[([^\]]*)\]\([^)]*\)|[`*]+")

_LONGEST_TITLE = 200


def read(source: Source) -> Iterator[Read]:
    encoding = encoding_of(source)
    yield Opened("markdown", encoding.codec, paged=False)
    yield from guessed(encoding)
    outline = Outline()
    with opened(source, encoding) as stream:
        for number, part in enumerate(parts(stream), 1):
            yield Text(number, part, tuple(outline.sections(part)))
            if encoding.guessed and "\ufffd" in part:
                yield undecodable(number, encoding)


class Outline:
    """The headings that are in force, from one part of the document to the next."""

    def __init__(self) -> None:
        self._path: list[tuple[int, str]] = []
        self._fence = ""
        """What the closing line of the code block that is open begins with."""
        self._front_matter = False
        self._comment = False
        self._paragraph: tuple[int, str] | None = None
        """The line before, with its offset, if a line of dashes below it makes it a heading."""
        self._begun = False

    def sections(self, part: str) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Where in the part which section begins; at its beginning, the one that goes on."""
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
        """Where the heading that this line ends begins, its level and its title; None if it ends none."""
        before, self._paragraph = self._paragraph, None
        if self._is_matter(line) or self._is_comment(line) or self._is_code(line):
            return None
        if (heading := _HEADING.match(line)) is not None:
            return offset, len(heading[1]), _plain(line[heading.end() :])
        if before is not None and (underline := _UNDERLINE.match(line)) is not None:
            return before[0], 1 if underline[1][0] == "=" else 2, _plain(before[1])
        if _NO_PARAGRAPH.match(line) is None:
            self._paragraph = (offset, line)
        return None

    def _is_matter(self, line: str) -> bool:
        """Whether the line is of the metadata that some documents begin with, between lines of three dashes."""
        first, self._begun = not self._begun, True
        if first and line.rstrip() == "---":
            self._front_matter = True
            return True
        inside = self._front_matter
        if inside and line.rstrip() in {"---", "..."}:
            self._front_matter = False
        return inside

    def _is_comment(self, line: str) -> bool:
        """Whether the line is of a comment that hides what it holds."""
        begins = not self._fence and not self._comment and line.lstrip(" ").startswith("<!--")
        inside = self._comment or begins
        if inside:
            self._comment = "-->" not in line
        return inside

    def _is_code(self, line: str) -> bool:
        """Whether the line is of a fenced code block."""
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
    """Without closing marks, links and emphasis."""
    title = title.strip()[:_LONGEST_TITLE]
    unclosed = title.rstrip("#")
    if not unclosed or unclosed[-1].isspace():
        title = unclosed
    return _INLINE.sub(lambda found: found[1] or "", _PICTURE.sub(r"\1", title)).strip()


FORMAT = Format(MARKDOWN, match=match, read=read)
