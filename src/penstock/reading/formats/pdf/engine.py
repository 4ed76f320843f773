"""Engine: what a library that reads PDFs does for us. There are two: pypdfium2, and pypdf for the second opinion."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from penstock.reading.formats.pdf.bookmarks import Bookmarks
from penstock.reading.limits import ReadLimits

_MOST_UNKNOWN = 0.1
"""The largest part of a page's characters that may be unknown."""


class PageText(NamedTuple):
    """What a library reads of a page."""

    text: str
    """The text of the page itself. Characters that the library does not know are control characters in it."""
    annotations: tuple[str, ...] = ()
    """What was written on the finished page: form fields that are filled in, texts beside its own, and comments."""


class Engine(Protocol):
    """A library with the document open."""

    name: str
    pages: int

    def page(self, index: int) -> PageText:
        """The page with this index, from 0. Raises whatever the library raises."""

    def bookmarks(self) -> Bookmarks: ...

    def form(self, limits: ReadLimits, /) -> str:
        """The text of a form that no page shows."""

    def attached(self, first_page: int, /) -> Iterable[tuple[str, bytes]]:
        """The names and bytes of the files in the document. This is called after all pages were read."""


def unknown_in(text: str, legible: str) -> int:
    """The number of characters of a page that its library does not know: those which are not in its legible text,
    except for line ends and hyphens."""
    return len(text) - len(legible) - text.count("\r\n") - text.count("\ufffe")


def too_many(unknown: int, text: str) -> bool:
    """Whether so many characters are unknown that the text is not good enough to pass for that of its page."""
    return unknown > len(text) * _MOST_UNKNOWN


def reason(error: Exception) -> str:
    """Why a library failed, for people: the message of its error, or the error's type if it has none."""
    message = " ".join(str(error).split())[:200].rstrip(".")
    return message or type(error).__name__
