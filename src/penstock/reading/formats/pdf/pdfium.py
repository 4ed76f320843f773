"""Pdfium: the engine that reads PDFs, by pypdfium2."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.domain.errors import PasswordRequired, Unreadable
from penstock.reading.formats.pdf.bookmarks import Bookmarks
from penstock.reading.formats.pdf.engine import PageText, reason
from penstock.reading.formats.pdf.fallback_font import install
from penstock.reading.kinds import PDF
from penstock.reading.limits import ReadLimits
from penstock.reading.protocol import Scan

if TYPE_CHECKING:
    from pypdfium2 import PdfAttachment, PdfDocument, PdfPage

_DEEPEST = 6
"""The maximum depth of bookmarks, and of drawings, in each other."""
_MOST_BOOKMARKS = 10_000
_SCALE = 200 / 72
"""The scale of pages that are drawn: 200 dots an inch, where one of a PDF's units is a 72nd of an inch."""
_MOST_PIXELS = 12_000_000
"""The maximum size of a page that is drawn, in pixels: somewhat more than an A3 page has at that scale."""

_RIGHT_TO_LEFT = ("\N{ARABIC LETTER ALEF}", "\N{HEBREW LETTER YOD}")
"""Letters of which hardly a line that runs from right to left has none."""
_SETTINGS = ".joboptions"
"""The suffix of the settings that Acrobat Distiller attaches to the files which it makes."""
_FORMULA = re.compile(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<math\b", re.DOTALL)
"""A formula as TeX attaches it, in addition to the one on the page."""


class Pdfium:
    """
    Raises:
        PasswordRequired, Unreadable: the file does not open.
    """

    name = "pypdfium2"

    def __init__(self, place: Path | bytes) -> None:
        import pypdfium2  # noqa: PLC0415 - other formats do not need it

        from penstock.reading.formats.pdf.annotations import Annotations  # noqa: PLC0415 - it needs pypdfium2 at once

        install()
        try:
            self._document = _opened(place)
            self.pages = len(self._document)
        except pypdfium2.PdfiumError as error:
            if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD:
                raise PasswordRequired from error
            has_reason = error.err_code not in {None, pypdfium2.raw.FPDF_ERR_SUCCESS}
            raise Unreadable(kind=PDF.title, why=reason(error) if has_reason else "it does not open") from error
        if not self.pages:
            raise Unreadable(kind=PDF.title, why="it has no pages")
        self._annotations = Annotations(self._document)

    def page(self, index: int) -> PageText:
        with closing(self._document[index]) as page:
            text = _text(page)
            if _runs_right_to_left(text) and _remove_spellings(page):
                reordered = _text(page)
                text = reordered if _runs_right_to_left(reordered) else text
            texts, in_looks = self._annotations.on(page, index)
        return PageText(text, (self._text_in_looks(index, text), *texts) if in_looks else texts)

    def _text_in_looks(self, index: int, text: str) -> str:
        """What the looks of the annotations say: what follows the page's own text once they are made a part of it."""
        from pypdfium2 import PdfiumError  # noqa: PLC0415

        from penstock.reading.formats.pdf.annotations import flattened  # noqa: PLC0415

        with suppress(PdfiumError), closing(flattened(self._document, index)) as copy, closing(copy[0]) as page:
            more, text = _text(page), text.rstrip()
            return more[len(text) :] if more.startswith(text) else ""
        return ""

    def attached(self, first_page: int, /) -> Iterator[tuple[str, bytes]]:
        """The names and bytes of the files in the document. Files in annotations come last, in the order of their
        pages.

        Args:
            first_page: the page at which reading started. Annotations on the pages before it are looked at now.
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
        """The text of a form that no page shows.

        Raises:
            LimitHit: the entities of its XML unfold to too much.
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
        except Exception:  # noqa: BLE001 - the bookmarks before the damaged one are worth having
            return Bookmarks(found)
        return Bookmarks(found)

    def picture(self, number: int) -> Scan:
        """The page with this number, drawn in shades of grey."""
        with closing(self._document[number - 1]) as page:
            width, height = page.get_size()
            most = math.sqrt(_MOST_PIXELS / max(1.0, width * height))
            with closing(page.render(scale=min(_SCALE, most), grayscale=True, no_smoothtext=False)) as bitmap:
                stride, lines = bitmap.stride, memoryview(bitmap.buffer)
                pixels = b"".join(
                    bytes(lines[line * stride : line * stride + bitmap.width]) for line in range(bitmap.height)
                )
                return Scan(number, bitmap.width, bitmap.height, pixels)

    def close(self) -> None:
        self._annotations.close()
        self._document.close()


def _opened(place: Path | bytes) -> PdfDocument:
    """
    Raises:
        PdfiumError: the file does not open, with the reason.
    """
    from pypdfium2 import PdfDocument, PdfiumError, raw  # noqa: PLC0415

    try:
        return PdfDocument(place)
    except PdfiumError as error:
        if error.err_code != raw.FPDF_ERR_PASSWORD:
            raise
    # Where pdfium gives no reason, the error has its last one, which may be that of an earlier file. So let another
    # error, which has nothing to do with passwords, be the last one, and try again.
    with suppress(PdfiumError):
        PdfDocument(b"no PDF")
    return PdfDocument(place)


def _text(page: PdfPage) -> str:
    with closing(page.get_textpage()) as characters:
        try:
            text: str = characters.get_text_range()
        except RecursionError:  # it recurses over each character without a place in the text
            text = characters.get_text_bounded()
        return text


def _content(file: PdfAttachment) -> Iterator[tuple[str, bytes]]:
    """The name and bytes of a file, or nothing for one that no reader wants. The bytes are empty if they are lost."""
    from pypdfium2 import PdfiumError  # noqa: PLC0415

    name = file.get_name()
    try:
        content = bytes(file.get_data())
    except PdfiumError:
        content = b""
    if not name.endswith(_SETTINGS) and not _FORMULA.match(content):
        yield name, content


def _runs_right_to_left(text: str) -> bool:
    return any(letter in text for letter in _RIGHT_TO_LEFT)


def _remove_spellings(page: PdfPage) -> bool:
    """Remove the texts that glyphs are said to spell, and return whether there were any.

    pdfium brings text that runs from right to left into the order in which it is read, except where glyphs are said to
    spell it one by one, as Chrome does with all Arabic.
    """
    from pypdfium2 import raw  # noqa: PLC0415

    found = False
    for shown in page.get_objects(filter=[raw.FPDF_PAGEOBJ_TEXT], max_depth=_DEEPEST):
        for place in reversed(range(raw.FPDFPageObj_CountMarks(shown))):
            mark = raw.FPDFPageObj_GetMark(shown, place)
            if raw.FPDFPageObjMark_GetParamValueType(mark, b"ActualText") != raw.FPDF_OBJECT_UNKNOWN:
                found = bool(raw.FPDFPageObj_RemoveMark(shown, mark)) or found
    return found
