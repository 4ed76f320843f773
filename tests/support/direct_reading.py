"""Reading a file in the test's own process, as the child process does it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from penstock.reading.parts import read_whole
from penstock.reading.protocol import Opened, Read, Text, Warned
from penstock.reading.source import Source


@dataclass(frozen=True)
class Reading:
    """The result of reading a file: all frames that the child would send."""

    frames: list[Read]

    @property
    def kind(self) -> str:
        return next(frame.kind for frame in self.frames if isinstance(frame, Opened))

    @cached_property
    def texts(self) -> list[Text]:
        return [frame for frame in self.frames if isinstance(frame, Text)]

    @property
    def text(self) -> str:
        return "".join(text.text for text in self.texts)

    @property
    def lines(self) -> list[str]:
        return [line for line in self.text.splitlines() if line]

    @property
    def problems(self) -> list[str]:
        return [text.problem for text in self.texts if text.problem]

    @property
    def warnings(self) -> list[str]:
        return [frame.text for frame in self.frames if isinstance(frame, Warned)]

    @property
    def names(self) -> set[str]:
        """The outermost headings of the sections."""
        return {path[0] for text in self.texts for _, path in text.sections}


def reading(content: bytes, name: str, declared: str | None = None) -> Reading:
    return Reading(list(read_whole(Source(content, name, declared))))
