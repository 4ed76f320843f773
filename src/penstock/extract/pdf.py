"""PDF by pypdfium2; pypdf is the second opinion where pdfium fails, or finds no text though fonts are used."""

from __future__ import annotations

import logging
import math
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol, Self

from msgspec.structs import replace

from penstock.errors import PasswordRequired, Permanent, Unreadable
from penstock.extract.characters import label, legible
from penstock.extract.format import Format, Look, Match
from penstock.extract.frames import LONGEST_PAGE, Opened, Read, Scan, Text, Warned
from penstock.extract.kinds import PDF
from penstock.extract.source import Source

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
_DEEPEST = 6
_MOST_BOOKMARKS = 10_000
_SCALE = 200 / 72
"""Of pages that are drawn: 200 dots an inch, where one of a PDF's units is a 72nd."""
_MOST_PIXELS = 12_000_000
"""Of a page that is drawn: somewhat more than of an A3 page at that scale."""
_LOST = "the file is cut short or damaged; pages behind this may be missing"


class Engine(Protocol):
    """A library with the document open."""

    name: str
    pages: int

    def text(self, index: int) -> str:
        """Of the page with this index, from 0. Raises whatever the library raises."""

    def bookmarks(self) -> Bookmarks: ...


class Bookmarks:
    """The outline that a reader shows beside the pages: its titles are what sections are called."""

    def __init__(self, entries: Iterable[tuple[int, int, str]] = ()) -> None:
        """`entries`: page number, level and title of each, in their order."""
        self._by_page: dict[int, list[tuple[int, str]]] = {}
        for page, level, title in entries:
            if title := label(title):
                self._by_page.setdefault(page, []).append((level, title))
        self._pages = sorted(self._by_page)
        self._paths: dict[int, list[tuple[int, str]]] = {}
        """What is open at the end of each page that opens something."""
        path: list[tuple[int, str]] = []
        for page in self._pages:
            for entry in self._by_page[page]:
                path = [*(each for each in path if each[0] < entry[0]), entry]
            self._paths[page] = path

    def on(self, frame: Read) -> Read:
        """The same page with its sections: one begins where its title stands, else where the page does."""
        if not isinstance(frame, Text) or not frame.text or not self._pages:
            return frame
        before = bisect_left(self._pages, frame.number)
        path = self._paths[self._pages[before - 1]] if before else []
        sections = {0: _titles(path)} if path else {}
        place = 0
        for entry in self._by_page.get(frame.number, ()):
            path = [*(each for each in path if each[0] < entry[0]), entry]
            place = max(place, frame.text.find(entry[1], place))
            sections[place] = _titles(path)
        return replace(frame, sections=tuple(sections.items()))


def _titles(path: list[tuple[int, str]]) -> tuple[str, ...]:
    return tuple(title for _, title in path)


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
            found = frames(engine, second, first_page)
        yield Opened("pdf", engine.name, paged=True, pages=engine.pages + bool(lost), seeks=True)
        damaged, bookmarks = 0, engine.bookmarks()
        for frame in found:
            if lost and isinstance(frame, Text) and not frame.text:
                frame = replace(frame, problem=frame.problem or "its content is missing")  # noqa: PLW2901
            if isinstance(frame, Text) and frame.problem is not None and not frame.text:
                damaged += 1
                if damaged == engine.pages:
                    raise Unreadable(kind=_TITLE, why=frame.problem)
            yield _scanned(engine, frame) if source.pictures else bookmarks.on(frame)
        if lost:
            yield Text(engine.pages + 1, "", problem=lost)


def _scanned(engine: Engine, frame: Read) -> Read:
    """The page as a picture, where it has no text and the engine can draw it."""
    if not isinstance(frame, Text) or frame.text or frame.problem is not None or not isinstance(engine, _Pdfium):
        return frame
    try:
        return engine.drawn(frame.number)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - as for its text
        return replace(frame, problem=f"it has no text, and could not be drawn ({_reason(error)})")


def _opened(source: Source, second: SecondOpinion, stack: ExitStack) -> tuple[Engine, str]:
    """The engine that opens it, and what is lost, if something is.

    Raises:
        PasswordRequired, Unreadable: none does.
    """
    try:
        return stack.enter_context(closing(_Pdfium(source.place))), ""
    except Permanent as error:
        try:
            return second.instead_of(error), ""
        except Unreadable:
            if (content := mended(source)) is not None:
                with suppress(Permanent):
                    return stack.enter_context(closing(_Pdfium(content))), _LOST
            raise


def mended(source: Source) -> bytes | None:
    """The file with a new trailer, which leads to its catalog, or to a new one of its page tree, or to a new tree of
    the pages that are found; None where there is nothing to lead to.

    Writers put these behind the pages, so that a file which is cut short has lost them. What lies in compressed object
    streams is not found.
    """
    with source.open() as file:
        content = file.read()
    if b"/Encrypt" in content:
        return None
    kinds: dict[bytes, dict[bytes, None]] = {b"Catalog": {}, b"Pages": {}, b"Page": {}}
    largest = 0
    for found in _OBJECT.finditer(content):
        largest = max(largest, int(found[1]))
        end = content.find(b"endobj", found.end(), found.end() + _LONGEST_DICTIONARY)
        head, stream, _ = content[found.end() : max(end, found.end())].partition(b"stream")
        kind = None if stream else _TYPE.search(head)
        if kind is not None and not (kind[1] == b"Pages" and b"/Parent" in head):
            kinds[kind[1]][b"%d %d R" % (int(found[1]), int(found[2]))] = None
    catalogs, trees, pages = (list(each) for each in kinds.values())
    added = b"\nendstream\nendobj\n"
    if not catalogs and not trees and pages:
        trees = [b"%d 0 R" % (largest + 2)]
        tree = (largest + 2, len(pages), b" ".join(pages))
        added += b"%d 0 obj\n<< /Type /Pages /Count %d /Kids [%s] >>\nendobj\n" % tree
    if not catalogs and trees:
        catalogs = [b"%d 0 R" % (largest + 1)]
        added += b"%d 0 obj\n<< /Type /Catalog /Pages %s >>\nendobj\n" % (largest + 1, trees[-1])
    if not catalogs:
        return None
    return content + added + b"trailer\n<< /Size %d /Root %s >>\n%%%%EOF\n" % (largest + 3, catalogs[-1])


def best_reading(engine: Engine, second: SecondOpinion) -> tuple[Engine, Iterator[Read]]:
    """What this engine reads; but what pypdf reads, where this one finds no text, fonts are used, and pypdf does."""
    found, has_text = _looked_ahead(frames(engine, second))
    if not has_text and second.may_find_text():
        other, has_text = _looked_ahead(frames(second.opened(), second))
        if has_text:
            return second.opened(), other
    return engine, found


def _looked_ahead(found: Iterator[Read]) -> tuple[Iterator[Read], bool]:
    """The same frames, and whether any has text: read up to the first that does."""
    seen: list[Read] = []
    for frame in found:
        seen.append(frame)
        if isinstance(frame, Text) and frame.text:
            return chain(seen, found), True
    return iter(seen), False


def frames(engine: Engine, second: SecondOpinion, first_page: int = 1) -> Iterator[Read]:
    """All pages from this one on; one that this engine fails to read is read by the second, or has a problem."""
    for number in range(first_page, engine.pages + 1):
        try:
            drawn = engine.text(number - 1)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - a damaged page can raise anything, and costs that page alone
            other = second.text(number - 1, of=engine.pages)
            if other is None:
                yield Text(number, "", problem=_reason(error))
                continue
            drawn = other
            yield Warned(f"Page {number} was read by pypdf, as pypdfium2 could not ({_reason(error)}).")
        text = legible(drawn).strip()
        if not text and (unknown := drawn.strip()):
            text = "\ufffd" * len(unknown)
            yield Warned(f"Page {number} has text in a font that does not tell which characters it shows.")
        problem = None
        if len(text) > LONGEST_PAGE:
            text, problem = text[:LONGEST_PAGE], f"it has more than {LONGEST_PAGE} characters; the rest was left out"
        yield Text(number, text, problem=problem)


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

    def __init__(self, place: Path | bytes) -> None:
        import pypdfium2  # noqa: PLC0415 - other formats do not need it

        try:
            self._document = pypdfium2.PdfDocument(place)
            self.pages = len(self._document)
        except pypdfium2.PdfiumError as error:
            if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD:
                raise PasswordRequired from error
            told = error.err_code not in {None, pypdfium2.raw.FPDF_ERR_SUCCESS}
            raise Unreadable(kind=_TITLE, why=_reason(error) if told else "it does not open") from error
        if not self.pages:
            raise Unreadable(kind=_TITLE, why="it has no pages")

    def text(self, index: int) -> str:
        with closing(self._document[index]) as page, closing(page.get_textpage()) as characters:
            try:
                text: str = characters.get_text_range()
            except RecursionError:  # it recurses over each character that has no place in the text
                text = characters.get_text_bounded()
            return text

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
        self._document.close()


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
            raise Unreadable(kind=_TITLE, why=_reason(error)) from error
        if locked:
            raise PasswordRequired
        if not self.pages:
            raise Unreadable(kind=_TITLE, why="it has no pages")

    def text(self, index: int) -> str:
        return self._reader.pages[index].extract_text()

    def bookmarks(self) -> Bookmarks:
        """Not read: a file that needs the second opinion has little to say of itself."""
        return Bookmarks()

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
            return engine.text(index) or None if engine.pages == of else None
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - the first opinion stands, whatever this one ran into
            return None

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
