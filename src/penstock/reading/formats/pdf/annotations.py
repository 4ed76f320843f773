"""Annotations: what was written on a page of a PDF when it was there already: form fields, added text, comments."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

from pypdfium2 import PdfAttachment, PdfDocument, PdfPage, raw

_UNSEEN = raw.FPDF_ANNOT_FLAG_HIDDEN | raw.FPDF_ANNOT_FLAG_NOVIEW
_UNSAID = {raw.FPDF_ANNOT_LINK, raw.FPDF_ANNOT_POPUP}
"""What these say is told by what they lead to, and by what they belong to."""
_CHOICES = {raw.FPDF_FORMFIELD_COMBOBOX, raw.FPDF_FORMFIELD_LISTBOX}
_WRITTEN = {"Tx", "Ch"}
"""Text and choices: what else a field has for a value, such as a button's state, is no text."""
_MOST = 10_000
"""Of a page that are looked at, and choices of a field: files made to harm name one again and again."""
_UTF_16 = 2
"""Bytes of one of its units, and of the zero at the end."""


class Written(NamedTuple):
    """What was written on a page."""

    said: tuple[str, ...] = ()
    """By what the annotations say of themselves, each text once."""
    pictured: bool = False
    """Whether some may say more in how they look, as signatures and stamps do."""


class Annotations:
    def __init__(self, document: PdfDocument) -> None:
        self._document = document
        self._fields: Any = None
        """pdfium's view of the form, once it was asked for."""
        self._told = raw.FPDF_FORMFILLINFO(version=2)
        """It has to live as long as that does."""
        self.attached: dict[int, list[PdfAttachment]] = {}
        """The files that were met, by the index of the page."""

    def on(self, page: PdfPage, index: int) -> Written:
        """What a reader sees of them."""
        count = raw.FPDFPage_GetAnnotCount(page)
        if not count:
            return Written()
        found: dict[str, None] = {}
        files, pictured = [], False
        for place in range(min(count, _MOST)):
            with _annotation(page, place) as annotation:
                kind = raw.FPDFAnnot_GetSubtype(annotation) if annotation else raw.FPDF_ANNOT_UNKNOWN
                if not annotation or kind in _UNSAID or raw.FPDFAnnot_GetFlags(annotation) & _UNSEEN:
                    continue
                if kind == raw.FPDF_ANNOT_FILEATTACHMENT and (file := raw.FPDFAnnot_GetFileAttachment(annotation)):
                    files.append(PdfAttachment(file, self._document))
                said = self._filled_in(annotation) if kind == raw.FPDF_ANNOT_WIDGET else _entry(annotation, b"Contents")
                found[said.strip()] = None
                pictured = pictured or self._is_pictured(annotation, kind, said)
        if files:
            self.attached[index] = files
        return Written(tuple(filter(None, found)), pictured)

    def _is_pictured(self, annotation: Any, kind: int, said: str) -> bool:
        if kind == raw.FPDF_ANNOT_WIDGET:
            form = self._form()
            signed = form and raw.FPDFAnnot_GetFormFieldType(form, annotation) == raw.FPDF_FORMFIELD_SIGNATURE
        else:
            signed = kind == raw.FPDF_ANNOT_STAMP or (kind == raw.FPDF_ANNOT_FREETEXT and not said)
        return bool(signed and raw.FPDFAnnot_HasKey(annotation, b"AP"))

    def _filled_in(self, annotation: Any) -> str:
        """Of a field that lost its form when its page was taken out of another file, what it says by itself."""
        form = self._form()
        kind = raw.FPDFAnnot_GetFormFieldType(form, annotation) if form else -1
        if kind in _CHOICES and (chosen := _chosen(form, annotation)):
            return chosen
        if kind in _CHOICES or kind == raw.FPDF_FORMFIELD_TEXTFIELD:
            if raw.FPDFAnnot_GetFormFieldFlags(form, annotation) & raw.FPDF_FORMFLAG_TEXT_PASSWORD:
                return ""
            return _string(lambda *into: raw.FPDFAnnot_GetFormFieldValue(form, annotation, *into))
        if kind < 0 and _entry(annotation, b"FT") in _WRITTEN:
            return _entry(annotation, b"V")
        return ""

    def _form(self) -> Any:
        if self._fields is None and raw.FPDF_GetFormType(self._document) != raw.FORMTYPE_NONE:
            self._fields = raw.FPDFDOC_InitFormFillEnvironment(self._document, self._told)
        return self._fields

    def close(self) -> None:
        """Before the document is."""
        if self._fields:
            raw.FPDFDOC_ExitFormFillEnvironment(self._fields)


def pictures_of(document: PdfDocument, index: int) -> PdfDocument:
    """A document with this page alone, and what is written on it made a part of it; to be closed."""
    copy = PdfDocument.new()
    copy.import_pages(document, [index])
    with closing(copy[0]) as page:
        raw.FPDFPage_Flatten(page, raw.FLAT_NORMALDISPLAY)
    return copy


@contextmanager
def _annotation(page: PdfPage, index: int) -> Iterator[Any]:
    annotation = raw.FPDFPage_GetAnnot(page, index)
    try:
        yield annotation
    finally:
        if annotation:
            raw.FPDFPage_CloseAnnot(annotation)


def _chosen(form: Any, annotation: Any) -> str:
    """As they are shown, which may be other than what they stand for; not looked for where choices are very many."""
    count = raw.FPDFAnnot_GetOptionCount(form, annotation)
    labels = [
        _string(lambda *into, index=index: raw.FPDFAnnot_GetOptionLabel(form, annotation, index, *into))
        for index in range(count if count <= _MOST else 0)
        if raw.FPDFAnnot_IsOptionSelected(form, annotation, index)
    ]
    return "\n".join(labels)


def _entry(annotation: Any, name: bytes) -> str:
    return _string(lambda *into: raw.FPDFAnnot_GetStringValue(annotation, name, *into))


def _string(ask: Callable[[Any, int], int]) -> str:
    """What pdfium answers to this: first how long it is, then the text."""
    length = ask(None, 0)
    if length <= _UTF_16:
        return ""
    buffer = (ctypes.c_ushort * (length // _UTF_16))()
    ask(buffer, length)
    return bytes(buffer)[: length - _UTF_16].decode("utf-16-le", "replace")
