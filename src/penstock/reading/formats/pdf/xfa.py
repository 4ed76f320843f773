"""XFA: a form in XML, which only Adobe's viewers show. In others the PDF has one page, which says that they cannot."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO

from pypdfium2 import PdfDocument, raw

from penstock.domain.errors import Unreadable
from penstock.reading.kinds import PDF
from penstock.reading.limits import ReadLimits
from penstock.reading.text.xml_stream import elements

_UNSEEN = frozenset({"hidden", "inactive", "invisible"})
_TEXTS = frozenset({"text", "exData"})
_MOST = 100
"""The maximum number of packets that are looked at. A form has about ten."""
_LINE = frozenset({"p", "br", "li"})
"""Elements that end a line in the HTML of an `exData`."""


def texts_of(document: PdfDocument, limits: ReadLimits) -> str:
    """What is printed on the form, then what is filled in. It is empty if the document has pages that show all of it.

    Raises:
        LimitHit: the entities of the XML unfold to too much.
    """
    if raw.FPDF_GetFormType(document) != raw.FORMTYPE_XFA_FULL:
        return ""
    lines: dict[str, None] = {}
    for number in range(min(raw.FPDF_GetXFAPacketCount(document), _MOST)):
        read = {b"template": _printed, b"datasets": _filled_in}.get(_name(document, number))
        if read is not None:
            with suppress(Unreadable):  # what stands behind the damage is lost
                for line in read(_content(document, number), limits):
                    lines[" ".join(line.split())] = None
    return "\n".join(filter(None, lines))


def _printed(content: bytes, limits: ReadLimits) -> Iterator[str]:
    """The values of drawn texts, captions and fields. Scripts, messages and choices that were not made are left out."""
    path: list[str] = []
    unseen = 0
    text: list[str] = []
    for event, name, attributes in elements(BytesIO(content), limits, PDF.title):
        if event == "text":
            if not unseen and "value" in path and not _TEXTS.isdisjoint(path):
                text.append(name)
            continue
        if name in _TEXTS or name in _LINE:
            yield "".join(text)
            text.clear()
        if event == "start":
            path.append(name)
            unseen += bool(unseen or attributes.get("presence") in _UNSEEN)
        else:
            path.pop()
            unseen -= bool(unseen)


def _filled_in(content: bytes, limits: ReadLimits) -> Iterator[str]:
    """The data that was filled in, without the lists that a form keeps beside it."""
    path: list[str] = []
    text: list[str] = []
    for event, name, _ in elements(BytesIO(content), limits, PDF.title):
        if event == "text":
            text.append(name)
            continue
        if path[1:2] == ["data"]:
            yield "".join(text)
        text.clear()
        if event == "start":
            path.append(name)
        else:
            path.pop()


def _name(document: PdfDocument, number: int) -> bytes:
    buffer = ctypes.create_string_buffer(raw.FPDF_GetXFAPacketName(document, number, None, 0))
    raw.FPDF_GetXFAPacketName(document, number, buffer, len(buffer))
    return buffer.value


def _content(document: PdfDocument, number: int) -> bytes:
    size = ctypes.c_ulong()
    raw.FPDF_GetXFAPacketContent(document, number, None, 0, size)
    buffer = ctypes.create_string_buffer(size.value)
    raw.FPDF_GetXFAPacketContent(document, number, buffer, size.value, size)
    return buffer.raw
