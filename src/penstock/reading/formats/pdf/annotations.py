"""Annotations: what was written on a finished page of a PDF: form fields that are filled in, added text, and
comments."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

from pypdfium2 import PdfAttachment, PdfDocument, PdfPage, raw

_UNSEEN = raw.FPDF_ANNOT_FLAG_HIDDEN | raw.FPDF_ANNOT_FLAG_NOVIEW
_WITHOUT_TEXT = {raw.FPDF_ANNOT_LINK, raw.FPDF_ANNOT_POPUP}
"""Kinds that have no text of their own: a link repeats its target, and a popup the annotation that it belongs to."""
_CHOICES = {raw.FPDF_FORMFIELD_COMBOBOX, raw.FPDF_FORMFIELD_LISTBOX}
_TEXT_FIELDS = {"Tx", "Ch"}
"""Types of fields whose value is text: text fields and choices. The value of others, such as a button, is no text."""
_MOST = 10_000
"""The maximum number of annotations of a page, and of choices of a field, that are looked at. Hostile files name one of
them again and again."""
_UTF_16 = 2
"""The size of a unit of UTF-16, in bytes. The zero at the end of a string has this size as well."""


class Written(NamedTuple):
    """What was written on a page."""

    texts: tuple[str, ...] = ()
    """The texts that the annotations hold, each once."""
    in_looks: bool = False
    """Whether there may be more text in how annotations look. Signatures and stamps have it there."""


class Annotations:
    """The annotations of a document. They are to be closed before the document is."""

    def __init__(self, document: PdfDocument) -> None:
        self._document = document
        self._form_handle: Any = None
        """pdfium's handle of the form. It is None until it is needed, and if the document has no form."""
        self._form_info = raw.FPDF_FORMFILLINFO(version=2)
        """The structure that pdfium takes for the handle. It has to live as long as the handle does."""
        self.attached: dict[int, list[PdfAttachment]] = {}
        """The files in the annotations that were read so far, by the index of the page."""

    def on(self, page: PdfPage, index: int) -> Written:
        """The annotations on a page, as a reader sees them."""
        count = raw.FPDFPage_GetAnnotCount(page)
        if not count:
            return Written()
        found: dict[str, None] = {}
        files, in_looks = [], False
        for place in range(min(count, _MOST)):
            with _annotation(page, place) as annotation:
                kind = raw.FPDFAnnot_GetSubtype(annotation) if annotation else raw.FPDF_ANNOT_UNKNOWN
                if not annotation or kind in _WITHOUT_TEXT or raw.FPDFAnnot_GetFlags(annotation) & _UNSEEN:
                    continue
                if kind == raw.FPDF_ANNOT_FILEATTACHMENT and (file := raw.FPDFAnnot_GetFileAttachment(annotation)):
                    files.append(PdfAttachment(file, self._document))
                text = self._filled_in(annotation) if kind == raw.FPDF_ANNOT_WIDGET else _entry(annotation, b"Contents")
                found[text.strip()] = None
                in_looks = in_looks or self._has_text_in_looks(annotation, kind, text)
        if files:
            self.attached[index] = files
        return Written(tuple(filter(None, found)), in_looks)

    def _has_text_in_looks(self, annotation: Any, kind: int, text: str) -> bool:
        if kind == raw.FPDF_ANNOT_WIDGET:
            form = self._form()
            signed = form and raw.FPDFAnnot_GetFormFieldType(form, annotation) == raw.FPDF_FORMFIELD_SIGNATURE
        else:
            signed = kind == raw.FPDF_ANNOT_STAMP or (kind == raw.FPDF_ANNOT_FREETEXT and not text)
        return bool(signed and raw.FPDFAnnot_HasKey(annotation, b"AP"))

    def _filled_in(self, annotation: Any) -> str:
        """The text that was filled into a field. A field whose page was taken out of another file may have lost its
        form. Then its own entries are read."""
        form = self._form()
        kind = raw.FPDFAnnot_GetFormFieldType(form, annotation) if form else -1
        if kind in _CHOICES and (chosen := _chosen(form, annotation)):
            return chosen
        if kind in _CHOICES or kind == raw.FPDF_FORMFIELD_TEXTFIELD:
            if raw.FPDFAnnot_GetFormFieldFlags(form, annotation) & raw.FPDF_FORMFLAG_TEXT_PASSWORD:
                return ""
            return _string_of(lambda *into: raw.FPDFAnnot_GetFormFieldValue(form, annotation, *into))
        if kind < 0 and _entry(annotation, b"FT") in _TEXT_FIELDS:
            return _entry(annotation, b"V")
        return ""

    def _form(self) -> Any:
        if self._form_handle is None and raw.FPDF_GetFormType(self._document) != raw.FORMTYPE_NONE:
            self._form_handle = raw.FPDFDOC_InitFormFillEnvironment(self._document, self._form_info)
        return self._form_handle

    def close(self) -> None:
        if self._form_handle:
            raw.FPDFDOC_ExitFormFillEnvironment(self._form_handle)


def flattened(document: PdfDocument, index: int) -> PdfDocument:
    """A document with only this page, in which the annotations are made a part of the page. The caller closes it."""
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
    """The choices that are selected, as they are shown, which may be other words than their values. A field with very
    many choices is not looked at."""
    count = raw.FPDFAnnot_GetOptionCount(form, annotation)
    labels = [
        _string_of(lambda *into, index=index: raw.FPDFAnnot_GetOptionLabel(form, annotation, index, *into))
        for index in range(count if count <= _MOST else 0)
        if raw.FPDFAnnot_IsOptionSelected(form, annotation, index)
    ]
    return "\n".join(labels)


def _entry(annotation: Any, name: bytes) -> str:
    return _string_of(lambda *into: raw.FPDFAnnot_GetStringValue(annotation, name, *into))


def _string_of(ask: Callable[[Any, int], int]) -> str:
    """A string of pdfium, which returns the length when it is called without a buffer, and the text when it has one."""
    length = ask(None, 0)
    if length <= _UTF_16:
        return ""
    buffer = (ctypes.c_ushort * (length // _UTF_16))()
    ask(buffer, length)
    return bytes(buffer)[: length - _UTF_16].decode("utf-16-le", "replace")
