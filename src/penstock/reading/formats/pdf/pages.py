"""Pages: what is read of each page of a PDF, by the engine that reads it best."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from penstock.reading.formats.pdf.engine import Engine, PageText, reason, too_many, unknown_in
from penstock.reading.formats.pdf.second_opinion import SecondOpinion
from penstock.reading.protocol import LONGEST_PAGE, Text
from penstock.reading.text.characters import legible

_EAST_ASIAN = "\u3000-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef"
_COLUMN = re.compile(rf"^[{_EAST_ASIAN}]{{1,3}}$(?:\n^[{_EAST_ASIAN}]{{1,3}}$){{4,}}", re.MULTILINE)
"""A column of vertical writing. Where its characters are placed one by one, pdfium puts each on a line of its own."""
_NARROW = 4
"""A page is taken to consist of such columns if its lines have fewer characters than this on average."""


class ReadPage(NamedTuple):
    """A page that was read."""

    number: int
    text: str = ""
    """The text of the page itself."""
    annotations: str = ""
    """What was written on the finished page, except for what its own text says already."""
    problem: str | None = None
    unknown: int = 0
    """The number of characters whose fonts do not tell which characters they show."""
    warning: str = ""

    @property
    def unclear(self) -> bool:
        """Whether too many characters are unknown for the text to pass for that of the page."""
        return too_many(self.unknown, self.text)

    @property
    def illegible(self) -> bool:
        """Whether as many characters are unknown as are known, or there is no text at all."""
        return self.unknown >= len(self.text)

    def frame(self, text: str) -> Text:
        """The page with this text, cut to what a frame may hold."""
        if len(text) <= LONGEST_PAGE:
            return Text(self.number, text, problem=self.problem)
        problem = f"it has more than {LONGEST_PAGE} characters; the rest was left out"
        return Text(self.number, text[:LONGEST_PAGE], problem=problem)


def best_reading(engine: Engine, second: SecondOpinion) -> tuple[Engine, Iterator[ReadPage]]:
    """The engine that is best for the whole document, and the pages as it reads them.

    It is the given one, except where that finds no text on any page although fonts are used, and pypdf finds some.
    """
    pages, has_text = _look_ahead(read_pages(engine, second))
    if not has_text and second.may_find_text():
        other_pages, has_text = _look_ahead(read_pages(second.opened(), second))
        if has_text:
            return second.opened(), other_pages
    return engine, pages


def _look_ahead(pages: Iterator[ReadPage]) -> tuple[Iterator[ReadPage], bool]:
    """The same pages, and whether any has text. Pages are read ahead up to the first that has."""
    seen: list[ReadPage] = []
    for page in pages:
        seen.append(page)
        if page.text:
            return chain(seen, pages), True
    return iter(seen), False


def read_pages(engine: Engine, second: SecondOpinion, first_page: int = 1) -> Iterator[ReadPage]:
    """All pages from this one on. A page that the engine fails to read is read by pypdf, or has a problem."""
    for number in range(first_page, engine.pages + 1):
        try:
            found = engine.page(number - 1)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - a damaged page can raise anything, and costs that page alone
            yield _read_by_second(number, error, second, of=engine.pages)
        else:
            yield _clearest(number, found, second, of=engine.pages)


def _read_by_second(number: int, error: Exception, second: SecondOpinion, *, of: int) -> ReadPage:
    text = second.text(number - 1, of=of)
    if text is None:
        return ReadPage(number, problem=reason(error))
    warning = f"Page {number} was read by pypdf, as pypdfium2 could not ({reason(error)})."
    return _read_page(number, PageText(text))._replace(warning=warning)


def _clearest(number: int, found: PageText, second: SecondOpinion, *, of: int) -> ReadPage:
    page = _read_page(number, found)
    if page.unclear and (text := second.clearer_text(number - 1, of=of)):
        return _read_page(number, found._replace(text=text))
    return page


def _read_page(number: int, found: PageText) -> ReadPage:
    text = legible(found.text)
    unknown = unknown_in(found.text, text)
    # A soft hyphen that pdfium has left is a hyphen: in the usual encoding of PDFs both have the same glyph.
    text = text.strip().replace("\u00ad", "-") or "\ufffd" * unknown
    if text.count("\n") * _NARROW > len(text):
        text = _COLUMN.sub(lambda column: column[0].replace("\n", ""), text)
    page = ReadPage(number, text, _not_in(text, found.annotations), unknown=unknown)
    if page.unclear:
        warning = f"Page {number} has text in a font that does not tell which characters it shows."
        return page._replace(warning=warning)
    return page


def _not_in(text: str, annotations: Iterable[str]) -> str:
    """The annotations without those that the text of the page, or an earlier one, says already: a comment may repeat
    the words that it is about."""
    if not annotations:
        return ""
    seen, kept = f" {' '.join(text.split())} ", []
    for annotation in (legible(each).strip() for each in annotations):
        words = f" {' '.join(annotation.split())} "
        if words not in seen:
            kept.append(annotation)
            seen += words
    return "\n".join(filter(None, kept))
