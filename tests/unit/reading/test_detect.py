"""Which format a file is taken for."""

from __future__ import annotations

import pytest

from penstock.domain.errors import UnsupportedType
from penstock.reading.detect import detect
from penstock.reading.format import Look
from penstock.reading.registry import formats

PROSE = b"Plain words, nothing else.\n"
PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n"


@pytest.mark.parametrize(
    ("head", "name", "declared", "kind"),
    [
        (PDF, "a.pdf", "application/pdf", "pdf"),
        (PDF, "", None, "pdf"),
        (b"\xef\xbb\xbf\0junk\n" + PDF, "a.pdf", None, "pdf"),
        (b"scanner header\n" + PDF, "a.pdf", "application/pdf", "pdf"),
        (b"What %PDF-1.7 at the beginning of a file means.", "notes.md", None, "markdown"),
        (PROSE, "a.txt", "text/plain", "text"),
        (PROSE, "a.md", "text/plain", "markdown"),
        (PROSE, "a", "text/markdown; charset=utf-8", "markdown"),
        (PROSE, "A.MD", None, "markdown"),
        (PROSE, "unknown.xyz", "application/octet-stream", "text"),
        ("Wörter".encode("utf-16"), "a.txt", None, "text"),
        ("<!DOCTYPE html><p>Wörter".encode("utf-16"), "a", None, "html"),
        ('<?xml version="1.0"?><a/>'.encode("utf-16-le"), "a.xml", None, "xml"),
        (b"Words <b>and</b> a tag.\n", "a.html", None, "html"),
        (b"Words <b>and</b> a tag.\n", "a.txt", None, "text"),
        (b'<?xml version="1.0"?>\n<link rel="stylesheet"/><body>', "a.html", None, "html"),
        (PROSE, "a.py", "text/x-python", "text"),
        (b"Received: five gates\nDate: Monday\nFrom: the works\n", "delivery.txt", None, "text"),
        (b"Received: by mx.example.org\nDate: Monday\nFrom: a@example.org\n", "mail", None, "eml"),
        ("Words in UTF-16 without a mark".encode("utf-16-be"), "a.txt", None, "text"),
    ],
)
def test_content_decides_then_the_name_then_the_declared_type(
    head: bytes, name: str, declared: str | None, kind: str
) -> None:
    found, warnings = detect(formats(), Look(head), name=name, declared=declared)
    assert found.kind.name == kind
    assert warnings == ()


@pytest.mark.parametrize(
    ("head", "name", "declared", "kind", "said"),
    [
        (PDF, "a.txt", "application/pdf", "pdf", "The name ends in .txt, but the content is PDF."),
        (PDF, "a.pdf", "text/plain", "pdf", "It was sent as text/plain, but the content is PDF."),
        (PROSE, "a.pdf", None, "text", "The name ends in .pdf, but the content is plain text."),
        (PROSE, "a.txt", "image/png", "text", "It was sent as image/png, but the content is plain text."),
    ],
)
def test_a_name_or_type_that_says_otherwise_is_a_warning(
    head: bytes, name: str, declared: str | None, kind: str, said: str
) -> None:
    found, warnings = detect(formats(), Look(head), name=name, declared=declared)
    assert found.kind.name == kind
    assert warnings == (said,)


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"PK\x03\x04" + bytes(40), "a ZIP archive that is cut short or damaged"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "a PNG image"),
        (b"PK\x07\x08" + bytes(40), "one of the files that a ZIP archive was split into"),
        (b"\x1f\x8b\x08" + bytes(40), "a gzip archive"),
        (bytes(range(256)), "binary data of no known kind"),
        (PROSE + b"\0", "binary data of no known kind"),
    ],
)
def test_what_is_not_read_is_named_with_what_is(head: bytes, found: str) -> None:
    """The name does not matter."""
    with pytest.raises(UnsupportedType) as refused:
        detect(formats(), Look(head), name="report.pdf", declared="application/pdf")
    assert refused.value.facts["found"] == found
    assert "PDF" in str(refused.value.facts["accepted"])
