"""PDF by pypdfium2; pypdf is the second opinion where pdfium fails, or finds no text though fonts are used."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from penstock.errors import PasswordRequired, Permanent, Unreadable
from penstock.extract.characters import legible
from penstock.extract.format import Format, Match
from penstock.extract.frames import LONGEST_PAGE, Opened, Read, Text, Warned

_TITLE = "PDF"


class _Engine(Protocol):
    """A library with the document open."""

    name: str
    pages: int

    def text(self, index: int) -> str:
        """Of the page with this index, from 0. Raises whatever the library raises."""


def match(head: bytes) -> Match:
    """A PDF begins with its signature, but viewers also open one that has something before it, or has lost it."""
    if head.startswith(b"%PDF-"):
        return Match.CERTAIN
    return Match.PERHAPS if b"%PDF-" in head or b" 0 obj" in head else Match.NO


def read(path: Path) -> Iterator[Read]:
    with ExitStack() as stack:
        second = _SecondOpinion(path, stack)
        try:
            engine: _Engine = stack.enter_context(closing(_Pdfium(path)))
        except Permanent as error:
            engine = second.instead_of(error)
        frames, has_text = _looked_ahead(_frames(engine, second))
        if not has_text and second.finds_fonts():
            others, has_text = _looked_ahead(_frames(second.opened(), second))
            if has_text:
                engine, frames = second.opened(), others
        yield Opened("pdf", engine.name, paged=True, pages=engine.pages)
        damaged = 0
        for frame in frames:
            if isinstance(frame, Text) and frame.problem is not None and not frame.text:
                damaged += 1
                if damaged == engine.pages:
                    raise Unreadable(kind=_TITLE, why=frame.problem)
            yield frame


def _looked_ahead(frames: Iterator[Read]) -> tuple[Iterator[Read], bool]:
    """The same frames, and whether any has text: read up to the first that does."""
    seen: list[Read] = []
    for frame in frames:
        seen.append(frame)
        if isinstance(frame, Text) and frame.text:
            return chain(seen, frames), True
    return iter(seen), False


def _frames(engine: _Engine, second: _SecondOpinion) -> Iterator[Read]:
    for index in range(engine.pages):
        try:
            text, warning = engine.text(index), None
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - a damaged page can raise anything, and costs that page alone
            other = second.text(index)
            if other is None:
                yield Text(index + 1, "", problem=_reason(error))
                continue
            text, warning = other, f"Page {index + 1} was read by pypdf, as pypdfium2 could not ({_reason(error)})."
        text = legible(text).strip()
        problem = None
        if len(text) > LONGEST_PAGE:
            text, problem = text[:LONGEST_PAGE], f"it has more than {LONGEST_PAGE} characters; the rest was left out"
        yield Text(index + 1, text, problem=problem)
        if warning:
            yield Warned(warning)


def _reason(error: Exception) -> str:
    """For people: what the library said, else the kind of its error."""
    said = " ".join(str(error).split())[:200].rstrip(".")
    return said or type(error).__name__


class _Pdfium:
    """
    Raises:
        PasswordRequired, Unreadable: it does not open.
    """

    name = "pypdfium2"

    def __init__(self, path: Path) -> None:
        import pypdfium2  # noqa: PLC0415 - other formats do not need it

        try:
            self._document = pypdfium2.PdfDocument(path)
            self.pages = len(self._document)
        except pypdfium2.PdfiumError as error:
            if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD:
                raise PasswordRequired from error
            raise Unreadable(kind=_TITLE, why=_reason(error)) from error
        if not self.pages:
            raise Unreadable(kind=_TITLE, why="it has no pages")

    def text(self, index: int) -> str:
        with closing(self._document[index]) as page, closing(page.get_textpage()) as characters:
            try:
                text: str = characters.get_text_range()
            except RecursionError:  # it recurses over each character that has no place in the text
                text = characters.get_text_bounded()
            return text

    def close(self) -> None:
        self._document.close()


class _Pypdf:
    """
    Raises:
        PasswordRequired, Unreadable: it does not open.
    """

    name = "pypdf"

    def __init__(self, path: Path) -> None:
        import pypdf  # noqa: PLC0415 - most files never need it

        # What it warns of, page after page, tells nothing to anyone who did not write the file.
        logging.getLogger("pypdf").setLevel(logging.CRITICAL)
        try:
            self._reader = pypdf.PdfReader(path)
            if self._reader.is_encrypted and not self._reader.decrypt(""):
                raise PasswordRequired
            self.pages = len(self._reader.pages)
        except (MemoryError, PasswordRequired):
            raise
        except Exception as error:
            raise Unreadable(kind=_TITLE, why=_reason(error)) from error
        if not self.pages:
            raise Unreadable(kind=_TITLE, why="it has no pages")

    def text(self, index: int) -> str:
        return self._reader.pages[index].extract_text()

    def uses_fonts(self) -> bool:
        return any(self._has_fonts(index) for index in range(self.pages))

    def _has_fonts(self, index: int) -> bool:
        """Whether the page, or a form drawn on it, names a font."""
        try:
            own: Any = self._reader.pages[index].get("/Resources", {})
            drawn = [form.get_object() for form in own.get_object().get("/XObject", {}).get_object().values()]
            return any("/Font" in part.get_object() for part in (own, *(form.get("/Resources", {}) for form in drawn)))
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - what cannot be looked into may well have fonts
            return True

    def close(self) -> None:
        self._reader.close()


class _SecondOpinion:
    """pypdf, opened when it is first asked."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._path, self._stack = path, stack
        self._engine: _Pypdf | None = None
        self._error: Permanent | None = None

    def opened(self) -> _Pypdf:
        """
        Raises:
            PasswordRequired, Unreadable: it does not open.
        """
        if self._error is not None:
            raise self._error
        if self._engine is None:
            try:
                self._engine = self._stack.enter_context(closing(_Pypdf(self._path)))
            except Permanent as error:
                self._error = error
                raise
        return self._engine

    def instead_of(self, first: Permanent) -> _Pypdf:
        """
        Raises:
            PasswordRequired: one of the two says so.
            Unreadable: with what both say.
        """
        try:
            return self.opened()
        except Unreadable as error:
            if isinstance(first, Unreadable):
                why = f"pypdfium2 says: {first.facts['why']}; pypdf says: {error.facts['why']}"
                raise Unreadable(kind=_TITLE, why=why) from error
            raise first from error

    def text(self, index: int) -> str | None:
        """None where it can read no text of this page either."""
        try:
            return self.opened().text(index) or None
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - the first opinion stands, whatever this one ran into
            return None

    def finds_fonts(self) -> bool:
        try:
            return self.opened().uses_fonts()
        except Permanent:
            return False


FORMAT = Format(
    kind="pdf",
    title=_TITLE,
    suffixes=frozenset({".pdf"}),
    media_types=frozenset({"application/pdf", "application/x-pdf"}),
    match=match,
    read=read,
)
