"""Annotations: what was written on a page of a PDF when it was there already: form fields, added text, comments."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

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


class Annotations:
    def __init__(self, document: PdfDocument) -> None:
        self._document = document
        self._fields: Any = None
        """pdfium's view of the form, once it was asked for."""
        self._told = raw.FPDF_FORMFILLINFO(version=2)
        """It has to live as long as that does."""
        self.attached: dict[int, list[PdfAttachment]] = {}
        """The files that were met, by the index of the page."""

    def on(self, page: PdfPage, index: int) -> tuple[str, ...]:
        """What a reader sees of them, each text once."""
        count = raw.FPDFPage_GetAnnotCount(page)
        if not count:
            return ()
        found: dict[str, None] = {}
        files = []
        for place in range(min(count, _MOST)):
            with _annotation(page, place) as annotation:
                if not annotation:
                    continue
                if said := self._said(annotation).strip():
                    found[said] = None
                if file := raw.FPDFAnnot_GetFileAttachment(annotation):
                    files.append(PdfAttachment(file, self._document))
        if files:
            self.attached[index] = files
        return tuple(found)

    def _said(self, annotation: Any) -> str:
        kind = raw.FPDFAnnot_GetSubtype(annotation)
        if kind in _UNSAID or raw.FPDFAnnot_GetFlags(annotation) & _UNSEEN:
            return ""
        if kind == raw.FPDF_ANNOT_WIDGET:
            return self._filled_in(annotation)
        return _entry(annotation, b"Contents")

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
