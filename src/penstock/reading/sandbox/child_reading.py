"""One file that is being read: the frames of a child process become pages, warnings and errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from penstock.domain.chunk import Page, Section
from penstock.domain.errors import (
    EmptyFile,
    LimitHit,
    PasswordRequired,
    Permanent,
    ReaderDied,
    Unreadable,
    UnsupportedType,
)
from penstock.ports import Member, OnMember, Picture, Recognizer
from penstock.reading.protocol import Contained, Done, Failed, Opened, Piece, Scan, Text, Warned
from penstock.reading.sandbox.child_process import ChildProcess
from penstock.reading.text.characters import legible

_ERRORS: dict[str, type[Permanent]] = {
    kind.code: kind for kind in (EmptyFile, LimitHit, PasswordRequired, Unreadable, UnsupportedType)
}
"""The errors that a file can cause. The child may report no others."""
_WARNINGS = 100
"""The maximum number of warnings that are kept of one file."""


class ChildReading:
    """A file that a child process is reading. The properties are those of `ports.Reading`."""

    def __init__(
        self, child: ChildProcess, recognizer: Recognizer | None = None, on_member: OnMember | None = None
    ) -> None:
        self._child, self._recognizer, self._on_member = child, recognizer, on_member
        self._opened = Opened("", "", paged=False)
        self._warnings: list[str] = []

    @property
    def kind(self) -> str:
        return self._opened.kind

    @property
    def engine(self) -> str:
        return self._opened.engine

    @property
    def paged(self) -> bool:
        return self._opened.paged

    @property
    def pages(self) -> int:
        return self._opened.pages

    @property
    def warnings(self) -> Sequence[str]:
        return self._warnings

    @property
    def peak(self) -> int:
        """The maximum number of bytes that were resident in the child, over all files that it has read. It is known
        once all pages were read, or reading was left."""
        return self._child.peak

    @property
    def seeks(self) -> bool:
        return self._opened.seeks

    def __iter__(self) -> Iterator[Page]:
        while not isinstance(frame := self._child.next_frame(), Done):
            match frame:
                case Opened():
                    self._opened = frame
                case Text(number, text, sections, problem):
                    yield Page(number, text, tuple(Section(offset, path) for offset, path in sections), problem)
                case Scan():
                    yield self._recognized(frame)
                case Contained():
                    self._deliver(frame)
                case Piece():
                    raise ReaderDied(why="its answer made no sense")
                case Warned(text):
                    self._warn(text)
                case Failed():
                    raise error_of(frame)

    def _deliver(self, file: Contained) -> None:
        """Pass a file of an archive to the caller, and skip whatever the caller leaves unread."""
        if self._on_member is None or not file.path or file.size < 0:
            raise ReaderDied(why="its answer made no sense")
        content = self._pieces(file.size)
        self._on_member(Member(file.number, file.path, file.media_type, file.size, content))
        for _ in content:
            pass

    def _pieces(self, size: int) -> Iterator[bytes]:
        left = size
        while left > 0:
            frame = self._child.next_frame()
            if not isinstance(frame, Piece) or not 0 < len(frame.content) <= left:
                raise ReaderDied(why="its answer made no sense")
            left -= len(frame.content)
            yield frame.content

    def _recognized(self, scan: Scan) -> Page:
        """The page with the text that is recognized in its picture.

        Raises:
            ReaderDied: the frame holds no picture.
            Transient: the recognizer does not answer.
        """
        if self._recognizer is None or scan.width < 1 or not 0 < len(scan.pixels) == scan.width * scan.height:
            raise ReaderDied(why="its answer made no sense")
        try:
            text = legible(self._recognizer.recognize(Picture(scan.width, scan.height, scan.pixels))).strip()
        except Permanent as error:
            return Page(scan.number, "", problem=f"it has no text, and none was recognized: {error}".rstrip("."))
        if text:
            self._warn(f"The text of page {scan.number} was recognized in its picture.")
        return Page(scan.number, text)

    def _warn(self, text: str) -> None:
        if len(self._warnings) < _WARNINGS:
            self._warnings.append(text)


def error_of(failed: Failed) -> Permanent:
    """The error that the child reported. One that no file can cause means that the child cannot be trusted."""
    try:
        return _ERRORS[failed.code](**failed.facts)
    except (KeyError, TypeError):
        return ReaderDied(why=f"it reported an unknown error, {failed.code!r}")
