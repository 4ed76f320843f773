"""Second opinion: pypdf, where pdfium fails, finds no text, or does not know the characters of a page."""

from __future__ import annotations

import re
from typing import Self

from penstock.domain.errors import Permanent, Unreadable
from penstock.reading.formats.pdf.engine import too_many, unknown_in
from penstock.reading.formats.pdf.pypdf_engine import Pypdf
from penstock.reading.kinds import PDF
from penstock.reading.source import Source
from penstock.reading.text.characters import legible

_FONTS = re.compile(rb"/(Font|ObjStm|Encrypt)\b|/[A-Za-z]*#[0-9A-Fa-f]{2}")
"""Signs that a file may have fonts: one is named, objects are hidden in compressed streams or by encryption, or a
letter of some name is written by its number."""
_LONGEST_NAME = 16
"""The maximum length of such a sign, in bytes."""
_BLOCK = 1 << 20
_GLYPH = re.compile(r"/(?:[A-Za-z]{0,3}\d+|uni[0-9A-F]{4}|[A-Za-z]_[A-Za-z])\b")
"""The name of a glyph, by which pypdf shows a character that it does not know."""
_PATIENCE = 3
"""The number of pages for which pypdf is asked for a clearer text in vain before it is not asked again."""


class SecondOpinion:
    """pypdf, which is opened when it is first asked."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._engine: Pypdf | None = None
        self._error: Permanent | None = None
        """Why pypdf did not open the file, if it was asked to and did not."""
        self._unclear = 0
        """The number of pages whose text was not clear to pypdf either."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._engine is not None:
            self._engine.close()

    def opened(self) -> Pypdf:
        """
        Raises:
            PasswordRequired, Unreadable: the file does not open.
        """
        if self._error is not None:
            raise self._error
        if self._engine is None:
            try:
                self._engine = Pypdf(self._source)
            except Permanent as error:
                self._error = error
                raise
        return self._engine

    def instead_of(self, first: Permanent) -> Pypdf:
        """pypdf, where pdfium failed with this error.

        Raises:
            PasswordRequired: one of the two needs a password.
            Unreadable: neither opens the file, with the reasons of both.
        """
        try:
            return self.opened()
        except Unreadable as error:
            if isinstance(first, Unreadable):
                why = f"pypdfium2 says: {first.facts['why']}; pypdf says: {error.facts['why']}"
                raise Unreadable(kind=PDF.title, why=why) from error
            raise first from error

    def text(self, index: int, *, of: int) -> str | None:
        """The text of the page with this index.

        It is None if pypdf reads no text of it either, or if it does not count the same number of pages (`of`): then
        its pages are other ones."""
        try:
            engine = self.opened()
            return engine.page(index).text or None if engine.pages == of else None
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - the first opinion stands, whatever this one ran into
            return None

    def clearer_text(self, index: int, *, of: int) -> str | None:
        """The text of a page in which too many characters are unknown to pdfium.

        It is None if they are unknown to pypdf as well. After a few such pages pypdf is not asked again, since it takes
        fifty times as long for a page.
        """
        if self._unclear >= _PATIENCE:
            return None
        found = self.text(index, of=of) or ""
        text = legible(found)
        unclear = too_many(unknown_in(found, text), text) or too_many(len(_GLYPH.findall(text)), text)
        if unclear or not text.strip():
            self._unclear += 1
            return None
        return found

    def may_find_text(self) -> bool:
        """Whether the file has fonts and shows text by them, as far as a quick look can say."""
        if not self._may_have_fonts():
            return False
        try:
            return self.opened().may_show_text()
        except Permanent:
            return False

    def _may_have_fonts(self) -> bool:
        """Whether a font is named in the bytes of the file, or lies where it cannot be seen. This takes far less time
        than opening the file."""
        with self._source.open() as file:
            rest = b""
            while block := file.read(_BLOCK):
                if _FONTS.search(rest + block):
                    return True
                rest = block[-_LONGEST_NAME:]
        return False
