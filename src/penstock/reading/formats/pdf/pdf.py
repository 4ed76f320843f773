"""PDF by pypdfium2; pypdf is the second opinion where that fails, finds no text, or does not know its characters."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from itertools import chain
from typing import Any, NamedTuple, Protocol, Self

from penstock.domain.errors import PasswordRequired, Permanent, Unreadable
from penstock.reading.format import Format, Look, Match
from penstock.reading.formats.pdf.bookmarks import Bookmarks
from penstock.reading.formats.pdf.pdfium import Pdfium, Sheet, reason
from penstock.reading.kinds import PDF
from penstock.reading.limits import ReadLimits
from penstock.reading.parts import within
from penstock.reading.protocol import LONGEST_PAGE, Opened, Read, Scan, Text, Warned
from penstock.reading.source import Source
from penstock.reading.text.characters import legible

_TITLE = PDF.title
_OBJECT = re.compile(rb"\b(\d{1,9})\s+(\d{1,5})\s+obj\b")
_TYPE = re.compile(rb"/Type\s*/(Catalog|Pages|Page)(?![A-Za-z])")
_LONGEST_DICTIONARY = 20_000
"""Bytes of a page's own, which has its content elsewhere."""
_FONTS = re.compile(rb"/(Font|ObjStm|Encrypt)\b|/[A-Za-z]*#[0-9A-Fa-f]{2}")
"""The last: a letter of a name may be written by its number."""
_SHOWING = (b"Tj", b"TJ", b"'", b'"')
"""The operators by which a page or form shows text. Its strings and pictures may hold these bytes as well."""
_DRAWING = b"Do"
"""The one by which it draws a form."""
_LONGEST_NAME = 16
_BLOCK = 1 << 20
_DIM = 0.1
"""The part of a page's characters that may be unknown."""
_GLYPH = re.compile(r"/(?:[A-Za-z]{0,3}\d+|uni[0-9A-F]{4}|[A-Za-z]_[A-Za-z])\b")
"""The name of a glyph, by which pypdf shows a character that it does not know."""
_PATIENCE = 3
"""Pages that pypdf is asked about in vain before it is not asked again."""
_EAST_ASIAN = "\u3000-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef"
_COLUMN = re.compile(rf"^[{_EAST_ASIAN}]{{1,3}}$(?:\n^[{_EAST_ASIAN}]{{1,3}}$){{4,}}", re.MULTILINE)
"""Of vertical writing, whose characters pdfium puts on a line each where they are placed one by one."""
_NARROW = 4
"""Characters of a line, on the average of a page, of which such columns are the most."""
_LIGATURES = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFB00, 0xFB07)}
"""As pdfium writes them."""
_LOST = "the file is cut short or damaged; pages behind this may be missing"


class Engine(Protocol):
    """A library with the document open."""

    name: str
    pages: int

    def sheet(self, index: int) -> Sheet:
        """The page with this index, from 0. Raises whatever the library raises."""

    def bookmarks(self) -> Bookmarks: ...

    def form(self, limits: ReadLimits, /) -> str:
        """What is on a form that no page shows."""

    def attached(self, first_page: int, /) -> Iterable[tuple[str, bytes]]:
        """The files that are in it, each by its name; asked for last."""


class Leaf(NamedTuple):
    """A page, read."""

    number: int
    text: str = ""
    """Its own."""
    added: str = ""
    """What was written on it when it was there already."""
    problem: str | None = None
    unknown: int = 0
    """Characters of it, in fonts that do not tell which they show."""
    warning: str = ""

    @property
    def dim(self) -> bool:
        """Whether too much of it is unknown to pass for its text."""
        return self.unknown > len(self.text) * _DIM

    @property
    def dark(self) -> bool:
        """Whether as much is unknown as is known, or there is no text at all."""
        return self.unknown >= len(self.text)

    def shown(self, text: str) -> Text:
        if len(text) <= LONGEST_PAGE:
            return Text(self.number, text, problem=self.problem)
        problem = f"it has more than {LONGEST_PAGE} characters; the rest was left out"
        return Text(self.number, text[:LONGEST_PAGE], problem=problem)


def match(look: Look) -> Match:
    """A PDF begins with its signature, but viewers also open one that has something before it, or has lost it."""
    head = look.head
    if head.startswith(b"%PDF-"):
        return Match.CERTAIN
    return Match.PERHAPS if b"%PDF-" in head or b" 0 obj" in head else Match.NO


def read(source: Source, first_page: int = 1) -> Iterator[Read]:
    """From this page on; by the engine that reads the whole best."""
    with SecondOpinion(source) as second, ExitStack() as first:
        engine, lost = _opened(source, second, first)
        engine, found = best_reading(engine, second)
        if first_page > 1:
            found = leaves(engine, second, first_page)
        form = engine.form(source.limits)
        pages = engine.pages + bool(lost) + bool(form)
        yield Opened("pdf", engine.name, paged=True, pages=pages, seeks=True)
        damaged, bookmarks = 0, engine.bookmarks()
        for leaf in found:
            if lost and not leaf.text:
                leaf = leaf._replace(problem=leaf.problem or "its content is missing")  # noqa: PLW2901
            if leaf.problem is not None and not leaf.text:
                damaged += 1
                if damaged == engine.pages:
                    raise Unreadable(kind=_TITLE, why=leaf.problem)
            for frame in _told(leaf, engine if source.pictures else None):
                yield bookmarks.on(frame)
        if lost:
            yield Text(engine.pages + 1, "", problem=lost)
        if form and first_page <= pages:
            yield Leaf(pages).shown(form)
            yield Warned(f"It is a form that only Adobe's programs show. What is on it is read as page {pages}.")
        yield from _attached(source, engine, pages + 1, first_page)


def _told(leaf: Leaf, painter: Engine | None) -> Iterator[Read]:
    """The page, as a picture where it has no text that can be read, and there is one who paints it."""
    if leaf.warning:
        yield Warned(leaf.warning)
    text = "\n".join(filter(None, (leaf.text, leaf.added)))
    if not leaf.dark or leaf.problem is not None:
        yield leaf.shown(text)
    elif isinstance(painter, Pdfium):
        try:
            yield painter.drawn(leaf.number)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - as for its text
            problem = f"it has no text, and could not be drawn ({reason(error)})"
            yield leaf._replace(problem=problem).shown(text)
        else:
            if leaf.added:
                yield leaf.shown(leaf.added)
    else:
        if leaf.added and not leaf.text:
            yield Warned(f"Page {leaf.number} has no text of its own; what is read is in form fields and comments.")
        yield leaf.shown(text)


def _attached(source: Source, engine: Engine, number: int, first_page: int) -> Iterator[Read]:
    """The files that are in it, as parts behind the last page.

    Raises:
        LimitHit: which.
    """
    for name, content in engine.attached(first_page):
        source.unfold(len(content))
        for frame in within(source.part(content, name), number):
            if isinstance(frame, Text | Scan):
                number = frame.number + 1
                if frame.number < first_page:
                    continue
            yield frame


def _opened(source: Source, second: SecondOpinion, stack: ExitStack) -> tuple[Engine, str]:
    """The engine that opens it, and what is lost, if something is.

    Raises:
        PasswordRequired, Unreadable: none does.
    """
    try:
        return stack.enter_context(closing(Pdfium(source.place))), ""
    except Permanent as error:
        try:
            return second.instead_of(error), ""
        except Unreadable:
            for content in mended(source):
                with suppress(Permanent):
                    return stack.enter_context(closing(Pdfium(content))), _LOST
            raise


def mended(source: Source) -> Iterator[bytes]:
    """The file with a new trailer, which leads to its catalog; then with a new catalog, of its page tree, or of a new
    tree of the pages that are found.

    Writers put these behind the pages, so that a file which is cut short has lost them. What lies in compressed object
    streams is not found.
    """
    with source.open() as file:
        content = file.read()
    if b"/Encrypt" in content:
        return
    kinds: dict[bytes, dict[bytes, None]] = {b"Catalog": {}, b"Pages": {}, b"Page": {}}
    largest = end = 0
    for found in _OBJECT.finditer(content):
        largest = max(largest, int(found[1]))
        end = content.find(b"endobj", found.end(), found.end() + _LONGEST_DICTIONARY)
        head, stream, _ = content[found.end() : max(end, found.end())].partition(b"stream")
        kind = None if stream else _TYPE.search(head)
        if kind is not None and not (kind[1] == b"Pages" and b"/Parent" in head):
            kinds[kind[1]][b"%d %d R" % (int(found[1]), int(found[2]))] = None
    if end > 0:
        content = content[:end]  # without a trailer that is cut short
    catalogs, trees, pages = (list(each) for each in kinds.values())
    added = b"\nendstream\nendobj\n"
    trailer = b"trailer\n<< /Size %d /Root %%s >>\n%%%%%%%%EOF\n" % (largest + 3)
    if catalogs:
        yield content + added + trailer % catalogs[-1]
    catalog, tree = b"%d 0 R" % (largest + 1), b"%d 0 R" % (largest + 2)
    added += b"%d 0 obj\n<< /Type /Catalog /Pages %%s >>\nendobj\n" % (largest + 1)
    if trees:
        yield content + added % trees[-1] + trailer % catalog
    elif pages:
        kids = (largest + 2, len(pages), b" ".join(pages))
        added = added % tree + b"%d 0 obj\n<< /Type /Pages /Count %d /Kids [%s] >>\nendobj\n" % kids
        yield content + added + trailer % catalog


def best_reading(engine: Engine, second: SecondOpinion) -> tuple[Engine, Iterator[Leaf]]:
    """What this engine reads; but what pypdf reads, where this one finds no text, fonts are used, and pypdf does."""
    found, has_text = _looked_ahead(leaves(engine, second))
    if not has_text and second.may_find_text():
        other, has_text = _looked_ahead(leaves(second.opened(), second))
        if has_text:
            return second.opened(), other
    return engine, found


def _looked_ahead(found: Iterator[Leaf]) -> tuple[Iterator[Leaf], bool]:
    """The same pages, and whether any has text: read up to the first that does."""
    seen: list[Leaf] = []
    for leaf in found:
        seen.append(leaf)
        if leaf.text:
            return chain(seen, found), True
    return iter(seen), False


def leaves(engine: Engine, second: SecondOpinion, first_page: int = 1) -> Iterator[Leaf]:
    """All pages from this one on; one that this engine fails to read is read by the second, or has a problem."""
    for number in range(first_page, engine.pages + 1):
        try:
            drawn, added = engine.sheet(number - 1)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - a damaged page can raise anything, and costs that page alone
            other = second.text(number - 1, of=engine.pages)
            if other is None:
                yield Leaf(number, problem=reason(error))
                continue
            said = f"Page {number} was read by pypdf, as pypdfium2 could not ({reason(error)})."
            yield _leaf(number, other)._replace(warning=said)
            continue
        leaf = _leaf(number, drawn, added)
        if leaf.dim and (clearer := second.clearer(number - 1, of=engine.pages)):
            leaf = _leaf(number, clearer, added)
        yield leaf


def _leaf(number: int, drawn: str, added: Iterable[str] = ()) -> Leaf:
    text = legible(drawn)
    unknown = unknown_in(drawn, text)
    # A soft hyphen that pdfium has left is a hyphen: in the usual encoding of PDFs both are of one glyph.
    text = text.strip().replace("\u00ad", "-") or "\ufffd" * unknown
    if text.count("\n") * _NARROW > len(text):
        text = _COLUMN.sub(lambda column: column[0].replace("\n", ""), text)
    leaf = Leaf(number, text, _besides(text, added) if added else "", unknown=unknown)
    if leaf.dim:
        said = f"Page {number} has text in a font that does not tell which characters it shows."
        return leaf._replace(warning=said)
    return leaf


def unknown_in(drawn: str, text: str) -> int:
    """How many characters were left out to make it legible, beside line ends and hyphens."""
    return len(drawn) - len(text) - drawn.count("\r\n") - drawn.count("\ufffe")


def _besides(text: str, added: Iterable[str]) -> str:
    """What was written on a page, without what is said there already: a comment may repeat what it is about."""
    said, kept = f" {' '.join(text.split())} ", []
    for one in (legible(each).strip() for each in added):
        words = f" {' '.join(one.split())} "
        if words not in said:
            kept.append(one)
            said += words
    return "\n".join(filter(None, kept))


class _Pypdf:
    """
    Raises:
        PasswordRequired, Unreadable: it does not open.
    """

    name = "pypdf"

    def __init__(self, source: Source) -> None:
        import pypdf  # noqa: PLC0415 - most files never need it

        # What it warns of, page after page, tells nothing to anyone who did not write the file.
        logging.getLogger("pypdf").setLevel(logging.CRITICAL)
        try:
            self._reader = pypdf.PdfReader(source.open())
            locked = self._reader.is_encrypted and not self._reader.decrypt("")
            self.pages = 0 if locked else len(self._reader.pages)
        except MemoryError:
            raise
        except Exception as error:
            raise Unreadable(kind=_TITLE, why=reason(error)) from error
        if locked:
            raise PasswordRequired
        if not self.pages:
            raise Unreadable(kind=_TITLE, why="it has no pages")

    def sheet(self, index: int) -> Sheet:
        return Sheet(self._reader.pages[index].extract_text().translate(_LIGATURES))

    def bookmarks(self) -> Bookmarks:
        """Not read: a file that needs the second opinion has little to say of itself."""
        return Bookmarks()

    def form(self, _limits: ReadLimits, /) -> str:
        return ""

    def attached(self, _first_page: int, /) -> Iterable[tuple[str, bytes]]:
        """As little."""
        return ()

    def may_show_text(self) -> bool:
        return any(self._may_show_text(index) for index in range(self.pages))

    def _may_show_text(self, index: int) -> bool:
        """Whether the page, or a form drawn on it, names a font and one shows text. To look for the operators is much
        less than to read all of a drawing. Forms within forms are not looked into."""
        try:
            page = self._reader.pages[index]
            own = _entry(page, "/Resources", {})
            drawn = _entry(own, "/XObject", {})
            forms = [form for name in drawn if _entry(form := drawn[name], "/Subtype", "") != "/Image"]
            if not any("/Font" in part for part in (own, *(_entry(form, "/Resources", {}) for form in forms))):
                return False
            content = _entry(page, "/Contents", [])
            streams = [each.get_object() for each in content] if isinstance(content, list) else [content]
            return any(_holds(each, *_SHOWING) for each in streams) or any(
                _holds(each, *_SHOWING, _DRAWING) for each in forms
            )
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - what cannot be looked into may well show text
            return True

    def close(self) -> None:
        self._reader.close()


def _entry(dictionary: Any, name: str, otherwise: Any) -> Any:
    """What stands there, or what its reference leads to, which `get` does not follow."""
    return dictionary[name] if name in dictionary else otherwise  # noqa: SIM401


def _holds(stream: Any, *operators: bytes) -> bool:
    content = stream.get_data()
    return any(each in content for each in operators)


class SecondOpinion:
    """pypdf, opened when it is first asked."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._engine: _Pypdf | None = None
        self._error: Permanent | None = None
        self._dim = 0
        """Pages that were not clear to it either."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._engine is not None:
            self._engine.close()

    def opened(self) -> _Pypdf:
        """
        Raises:
            PasswordRequired, Unreadable: it does not open.
        """
        if self._error is not None:
            raise self._error
        if self._engine is None:
            try:
                self._engine = _Pypdf(self._source)
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

    def text(self, index: int, *, of: int) -> str | None:
        """None where it can read no text of this page either, or counts other pages: then its second is not ours."""
        try:
            engine = self.opened()
            return engine.sheet(index).drawn or None if engine.pages == of else None
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - the first opinion stands, whatever this one ran into
            return None

    def clearer(self, index: int, *, of: int) -> str | None:
        """The text of a page in which too many characters are unknown; None where it makes no more of it, or did of
        none of the first few: to read a page takes it fifty times as long."""
        if self._dim >= _PATIENCE:
            return None
        drawn = self.text(index, of=of) or ""
        text = legible(drawn)
        if (
            not text.strip()
            or unknown_in(drawn, text) > len(text) * _DIM
            or len(_GLYPH.findall(text)) > len(text) * _DIM
        ):
            self._dim += 1
            return None
        return drawn

    def may_find_text(self) -> bool:
        if not self._may_have_fonts():
            return False
        try:
            return self.opened().may_show_text()
        except Permanent:
            return False

    def _may_have_fonts(self) -> bool:
        """By a look at its bytes, which takes no time beside opening it: a font is named there, or lies where it
        cannot be seen, in a compressed stream of objects."""
        with self._source.open() as file:
            rest = b""
            while block := file.read(_BLOCK):
                if _FONTS.search(rest + block):
                    return True
                rest = block[-_LONGEST_NAME:]
        return False


FORMAT = Format(PDF, match=match, read=read, read_from=read)
