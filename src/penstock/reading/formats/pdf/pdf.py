"""PDF: read by pypdfium2. pypdf is the second opinion where that fails, finds no text, or does not know its
characters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress

from penstock.domain.errors import Permanent, Unreadable
from penstock.reading.format import Format, Look, Match
from penstock.reading.formats.pdf.engine import Engine, reason
from penstock.reading.formats.pdf.pages import ReadPage, best_reading, read_pages
from penstock.reading.formats.pdf.pdfium import Pdfium
from penstock.reading.formats.pdf.repair import repaired
from penstock.reading.formats.pdf.second_opinion import SecondOpinion
from penstock.reading.kinds import PDF
from penstock.reading.parts import within
from penstock.reading.protocol import Opened, Read, Scan, Text, Warned
from penstock.reading.source import Source

_CUT_SHORT = "the file is cut short or damaged; pages behind this may be missing"


def match(look: Look) -> Match:
    """A PDF begins with its signature, but viewers also open one that has something before it, or has lost it."""
    head = look.head
    if head.startswith(b"%PDF-"):
        return Match.CERTAIN
    return Match.PERHAPS if b"%PDF-" in head or b" 0 obj" in head else Match.NO


def read(source: Source, first_page: int = 1) -> Iterator[Read]:
    """The pages from this one on, then the form that no page shows, then the files that are attached."""
    with SecondOpinion(source) as second, ExitStack() as first:
        engine, damage = _opened(source, second, first)
        engine, pages = best_reading(engine, second)
        if first_page > 1:
            pages = read_pages(engine, second, first_page)
        form = engine.form(source.limits)
        count = engine.pages + bool(damage) + bool(form)
        yield Opened("pdf", engine.name, paged=True, pages=count, seeks=True)
        bookmarks = engine.bookmarks()
        for page in _checked(pages, engine.pages, damaged=bool(damage)):
            for frame in _frames(page, engine if source.pictures else None):
                yield bookmarks.on(frame)
        if damage:
            yield Text(engine.pages + 1, "", problem=damage)
        if form and first_page <= count:
            yield ReadPage(count).frame(form)
            yield Warned(f"It is a form that only Adobe's programs show. What is on it is read as page {count}.")
        yield from _attached(source, engine, count + 1, first_page)


def _opened(source: Source, second: SecondOpinion, stack: ExitStack) -> tuple[Engine, str]:
    """The engine that opens the file, and the problem of what is missing if the file had to be repaired.

    Raises:
        PasswordRequired, Unreadable: neither library opens it, not even repaired.
    """
    try:
        return stack.enter_context(closing(Pdfium(source.place))), ""
    except Permanent as error:
        try:
            return second.instead_of(error), ""
        except Unreadable:
            for content in repaired(source):
                with suppress(Permanent):
                    return stack.enter_context(closing(Pdfium(content))), _CUT_SHORT
            raise


def _checked(pages: Iterator[ReadPage], count: int, *, damaged: bool) -> Iterator[ReadPage]:
    """The same pages. In a damaged file, a page without text has a problem.

    Raises:
        Unreadable: all pages have a problem and no text.
    """
    lost = 0
    for page in pages:
        if damaged and not page.text:
            page = page._replace(problem=page.problem or "its content is missing")  # noqa: PLW2901
        if page.problem is not None and not page.text:
            lost += 1
            if lost == count:
                raise Unreadable(kind=PDF.title, why=page.problem)
        yield page


def _frames(page: ReadPage, painter: Engine | None) -> Iterator[Read]:
    """The frames of a page. If it has no legible text and there is a painter, it comes as a picture."""
    if page.warning:
        yield Warned(page.warning)
    if not page.illegible or page.problem is not None:
        yield page.frame(_text_of(page))
    elif isinstance(painter, Pdfium):
        yield from _painted(page, painter)
    else:
        if page.annotations and not page.text:
            yield Warned(f"Page {page.number} has no text of its own; what is read is in form fields and comments.")
        yield page.frame(_text_of(page))


def _painted(page: ReadPage, painter: Pdfium) -> Iterator[Read]:
    try:
        yield painter.picture(page.number)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged page can raise anything, and costs that page alone
        problem = f"it has no text, and could not be drawn ({reason(error)})"
        yield page._replace(problem=problem).frame(_text_of(page))
    else:
        if page.annotations:
            yield page.frame(page.annotations)


def _text_of(page: ReadPage) -> str:
    return "\n".join(filter(None, (page.text, page.annotations)))


def _attached(source: Source, engine: Engine, number: int, first_page: int) -> Iterator[Read]:
    """The files in the document, as parts behind the last page.

    Raises:
        LimitHit: the files are too large or too deep in each other.
    """
    for name, content in engine.attached(first_page):
        source.unfold(len(content))
        for frame in within(source.part(content, name), number):
            if isinstance(frame, Text | Scan):
                number = frame.number + 1
                if frame.number < first_page:
                    continue
            yield frame


FORMAT = Format(PDF, match=match, read=read, read_from=read)
