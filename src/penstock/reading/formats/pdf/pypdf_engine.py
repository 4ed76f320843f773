"""Pypdf: the engine that is asked for a second opinion. It is far slower than pdfium, but fails on other files."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterable
from typing import Any

from penstock.domain.errors import PasswordRequired, Unreadable
from penstock.reading.formats.pdf.bookmarks import Bookmarks
from penstock.reading.formats.pdf.engine import PageText, reason
from penstock.reading.kinds import PDF
from penstock.reading.limits import ReadLimits
from penstock.reading.source import Source

_TEXT_OPERATORS = (b"Tj", b"TJ", b"'", b'"')
"""The operators by which a page or form shows text. The strings and pictures in it may hold these bytes as well."""
_FORM_OPERATOR = b"Do"
"""The operator by which a page or form draws another form."""
_LIGATURES = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFB00, 0xFB07)}
"""The letters of each ligature. pdfium writes these letters, too."""


class Pypdf:
    """
    Raises:
        PasswordRequired, Unreadable: the file does not open.
    """

    name = "pypdf"

    def __init__(self, source: Source) -> None:
        import pypdf  # noqa: PLC0415 - most files never need it

        # Its warnings, page after page, are of use only to the author of the program that wrote the file.
        logging.getLogger("pypdf").setLevel(logging.CRITICAL)
        try:
            self._reader = pypdf.PdfReader(source.open())
            locked = self._reader.is_encrypted and not self._reader.decrypt("")
            self.pages = 0 if locked else len(self._reader.pages)
        except MemoryError:
            raise
        except Exception as error:
            raise Unreadable(kind=PDF.title, why=reason(error)) from error
        if locked:
            raise PasswordRequired
        if not self.pages:
            raise Unreadable(kind=PDF.title, why="it has no pages")

    def page(self, index: int) -> PageText:
        return PageText(self._reader.pages[index].extract_text().translate(_LIGATURES))

    def bookmarks(self) -> Bookmarks:
        """Bookmarks, forms and attached files are not read by this engine: a file that needs the second opinion rarely
        has any that are whole."""
        return Bookmarks()

    def form(self, _limits: ReadLimits, /) -> str:
        return ""

    def attached(self, _first_page: int, /) -> Iterable[tuple[str, bytes]]:
        return ()

    def may_show_text(self) -> bool:
        return any(self._may_show_text(index) for index in range(self.pages))

    def _may_show_text(self, index: int) -> bool:
        """Whether the page, or a form drawn on it, names a font and one shows text. Looking for the operators takes
        much less time than reading all of a drawing. Forms within forms are not looked into."""
        try:
            page = self._reader.pages[index]
            own = _entry(page, "/Resources", {})
            drawn = _entry(own, "/XObject", {})
            forms = [form for name in drawn if _entry(form := drawn[name], "/Subtype", "") != "/Image"]
            if not any("/Font" in part for part in (own, *(_entry(form, "/Resources", {}) for form in forms))):
                return False
            content = _entry(page, "/Contents", [])
            streams = [each.get_object() for each in content] if isinstance(content, list) else [content]
            return any(_holds(each, *_TEXT_OPERATORS) for each in streams) or any(
                _holds(each, *_TEXT_OPERATORS, _FORM_OPERATOR) for each in forms
            )
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - what cannot be looked into may well show text
            return True

    def close(self) -> None:
        self._reader.close()


def _entry(dictionary: Any, name: str, otherwise: Any) -> Any:
    """The value of an entry. A reference is followed, which `get` does not do."""
    return dictionary[name] if name in dictionary else otherwise  # noqa: SIM401


def _holds(stream: Any, *operators: bytes) -> bool:
    content = stream.get_data()
    return any(each in content for each in operators)
