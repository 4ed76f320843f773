"""Pdfium: the engine that reads PDFs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from penstock.domain.errors import PasswordRequired, Unreadable
from penstock.reading.formats.pdf.bookmarks import Bookmarks
from penstock.reading.formats.pdf.fallback_font import stand_in
from penstock.reading.kinds import PDF
from penstock.reading.limits import ReadLimits
from penstock.reading.protocol import Scan

if TYPE_CHECKING:
    from pypdfium2 import PdfAttachment, PdfDocument, PdfPage

_DEEPEST = 6
"""Of bookmarks in each other, and of drawings."""
_MOST_BOOKMARKS = 10_000
_SCALE = 200 / 72
"""Of pages that are drawn: 200 dots an inch, where one of a PDF's units is a 72nd."""
_MOST_PIXELS = 12_000_000
"""Of a page that is drawn: somewhat more than of an A3 page at that scale."""

_FROM_THE_RIGHT = ("\N{ARABIC LETTER ALEF}", "\N{HEBREW LETTER YOD}")
"""The letters that hardly a line of what is written from the right is without."""
_SETTINGS = ".joboptions"
"""Of the program that made it, Acrobat Distiller, which attaches them."""
_FORMULA = re.compile(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<math\b", re.DOTALL)
"""As TeX attaches it, once more than it is on the page."""


class Sheet(NamedTuple):
    """What is on a page."""

    drawn: str
    """Its own text."""
    added: tuple[str, ...] = ()
    """What was written on it: each in a field of a form, as a text beside it, or as a comment."""


class Pdfium:
    """
    Raises:
        PasswordRequired, Unreadable: it does not open.
    """

    name = "pypdfium2"

    def __init__(self, place: Path | bytes) -> None:
        import pypdfium2  # noqa: PLC0415 - other formats do not need it

        from penstock.reading.formats.pdf.annotations import Annotations  # noqa: PLC0415 - nor this, which needs it

        stand_in()
        try:
            self._document = _opened(place)
            self.pages = len(self._document)
        except pypdfium2.PdfiumError as error:
            if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD:
                raise PasswordRequired from error
            told = error.err_code not in {None, pypdfium2.raw.FPDF_ERR_SUCCESS}
            raise Unreadable(kind=PDF.title, why=reason(error) if told else "it does not open") from error
        if not self.pages:
            raise Unreadable(kind=PDF.title, why="it has no pages")
        self._annotations = Annotations(self._document)

    def sheet(self, index: int) -> Sheet:
        with closing(self._document[index]) as page:
            text = _text(page)
            if _runs_from_the_right(text) and _unspelled(page):
                text = shown if _runs_from_the_right(shown := _text(page)) else text
            said, pictured = self._annotations.on(page, index)
        return Sheet(text, (self._pictured(index, text), *said) if pictured else said)

    def _pictured(self, index: int, text: str) -> str:
        """What comes behind the page's own text when what was written on it is a part of it."""
        from pypdfium2 import PdfiumError  # noqa: PLC0415

        from penstock.reading.formats.pdf.annotations import pictures_of  # noqa: PLC0415

        with suppress(PdfiumError), closing(pictures_of(self._document, index)) as copy, closing(copy[0]) as page:
            more, text = _text(page), text.rstrip()
            return more[len(text) :] if more.startswith(text) else ""
        return ""

    def attached(self, first_page: int, /) -> Iterator[tuple[str, bytes]]:
        """The files that it holds, each by its name; those in annotations come last, in the order of their pages.

        Args:
            first_page: the one that reading began at; those before it are looked at now.
        """
        from pypdfium2 import PdfiumError  # noqa: PLC0415

        for index in range(first_page - 1):
            with suppress(PdfiumError), closing(self._document[index]) as page:
                self._annotations.on(page, index)
        for index in range(self._document.count_attachments()):
            try:
                yield from _content(self._document.get_attachment(index))
            except PdfiumError:
                yield "", b""
        for _, files in sorted(self._annotations.attached.items()):
            for file in files:
                yield from _content(file)

    def form(self, limits: ReadLimits, /) -> str:
        """What is on a form that no page shows.

        Raises:
            LimitHit: entities unfold to too much.
        """
        from penstock.reading.formats.pdf.xfa import texts_of  # noqa: PLC0415

        return texts_of(self._document, limits)

    def bookmarks(self) -> Bookmarks:
        found = []
        try:
            for entry in islice(self._document.get_toc(max_depth=_DEEPEST), _MOST_BOOKMARKS):
                target = entry.get_dest()
                page = target.get_index() if target else None
                if page is not None:
                    found.append((page + 1, entry.level, entry.get_title()))
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - those before the one that is damaged are worth having
            return Bookmarks(found)
        return Bookmarks(found)

    def drawn(self, number: int) -> Scan:
        with closing(self._document[number - 1]) as page:
            width, height = page.get_size()
            most = math.sqrt(_MOST_PIXELS / max(1.0, width * height))
            with closing(page.render(scale=min(_SCALE, most), grayscale=True, no_smoothtext=False)) as bitmap:
                stride, lines = bitmap.stride, memoryview(bitmap.buffer)
                kept = b"".join(
                    bytes(lines[line * stride : line * stride + bitmap.width]) for line in range(bitmap.height)
                )
                return Scan(number, bitmap.width, bitmap.height, kept)

    def close(self) -> None:
        self._annotations.close()
        self._document.close()


def _opened(place: Path | bytes) -> PdfDocument:
    """
    Raises:
        PdfiumError: it does not open; why.
    """
    from pypdfium2 import PdfDocument, PdfiumError, raw  # noqa: PLC0415

    try:
        return PdfDocument(place)
    except PdfiumError as error:
        if error.err_code != raw.FPDF_ERR_PASSWORD:
            raise
    # Where pdfium has no reason to tell, its last one stands, of another file: have another one stand, and ask again.
    with suppress(PdfiumError):
        PdfDocument(b"no PDF")
    return PdfDocument(place)


def _text(page: PdfPage) -> str:
    with closing(page.get_textpage()) as characters:
        try:
            text: str = characters.get_text_range()
        except RecursionError:  # it recurses over each character that has no place in the text
            text = characters.get_text_bounded()
        return text


def _content(file: PdfAttachment) -> Iterator[tuple[str, bytes]]:
    """Its name and its bytes, none where there are none to be had; nothing of what no reader wants."""
    from pypdfium2 import PdfiumError  # noqa: PLC0415

    name = file.get_name()
    try:
        content = bytes(file.get_data())
    except PdfiumError:
        content = b""
    if not name.endswith(_SETTINGS) and not _FORMULA.match(content):
        yield name, content


def _runs_from_the_right(text: str) -> bool:
    return any(letter in text for letter in _FROM_THE_RIGHT)


def _unspelled(page: PdfPage) -> bool:
    """Take away what its glyphs are said to spell, one by one, and say whether they were. pdfium brings what runs from
    the right into the order in which it is read, but not what it is told in this way, as Chrome tells of all Arabic."""
    from pypdfium2 import raw  # noqa: PLC0415

    found = False
    for shown in page.get_objects(filter=[raw.FPDF_PAGEOBJ_TEXT], max_depth=_DEEPEST):
        for place in reversed(range(raw.FPDFPageObj_CountMarks(shown))):
            mark = raw.FPDFPageObj_GetMark(shown, place)
            if raw.FPDFPageObjMark_GetParamValueType(mark, b"ActualText") != raw.FPDF_OBJECT_UNKNOWN:
                found = bool(raw.FPDFPageObj_RemoveMark(shown, mark)) or found
    return found


def reason(error: Exception) -> str:
    """For people: what the library said, else the kind of its error."""
    said = " ".join(str(error).split())[:200].rstrip(".")
    return said or type(error).__name__
