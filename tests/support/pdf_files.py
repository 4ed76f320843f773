"""PDF files that tests read, each made on the spot with the one property that matters."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from io import BytesIO

from reportlab.lib.pagesizes import A4
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

_LINE = 90
"""The maximum number of characters of a line, so that it stays on the page."""


def pdf(pages: Iterable[str], *, password: str | None = None, owner: str = "owner") -> bytes:
    """A PDF with a page for each text, whose lines are wrapped.

    Args:
        password: the user's password. If it is empty, anybody can open the file, but it is still encrypted.
    """
    buffer = BytesIO()
    lock = None if password is None else StandardEncryption(password, ownerPassword=owner)
    canvas = Canvas(buffer, pagesize=A4, encrypt=lock, invariant=True)
    for text in pages:
        lines = canvas.beginText(60, 780)
        lines.setFont("Helvetica", 10)
        for line in text.split("\n"):
            lines.textLines(_wrapped(line))
        canvas.drawText(lines)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def long_pdf(pages: int) -> bytes:
    """A PDF whose pages each have a word that no other page has: "page-00001-mark" and so on."""
    sentence = "Water comes down the penstock, turns the wheel and leaves by the tailrace. "
    return pdf(f"This is page-{number:05}-mark.\n{sentence * 12}" for number in range(1, pages + 1))


def scanned_pdf(pages: int) -> bytes:
    """A PDF whose pages show graphics without text and name no font, as scans do."""
    return raw_pdf(b"100 100 200 300 re f", pages=pages, resources="<< >>")


_FONT = "<< /Font << /F1 3 0 R >> >>"


def raw_pdf(
    content: bytes,
    *,
    filters: str = "",
    pages: int = 1,
    kids: str | None = None,
    resources: str = _FONT,
    more: Sequence[bytes] = (),
    of_page: str = "",
    of_catalog: str = "",
) -> bytes:
    """A PDF written by hand, all of whose pages share one content stream.

    Args:
        kids: replaces the references in the page tree, for a page tree that is wrong.
        more: further objects, which are numbered from 7.
        of_page: further entries of the page's dictionary.
        of_catalog: further entries of the catalog's dictionary.
    """
    references = " ".join(["4 0 R"] * pages) if kids is None else kids
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R {of_catalog} >>".encode(),
        f"<< /Type /Pages /Count {pages} /Kids [{references}] >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R /Resources 6 0 R {of_page} >>".encode(),
        f"<< /Length {len(content)} {filters} >>\nstream\n".encode() + content + b"\nendstream",
        resources.encode(),
        *more,
    ]
    return pdf_of_objects(objects)


def pdf_of_objects(objects: Sequence[bytes], *, loop: bool = False) -> bytes:
    """A PDF of these objects, numbered from 1, of which the first is the catalog. With `loop` its cross-reference table
    names itself as the previous one."""
    out = bytearray(b"%PDF-1.7\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    table = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += b"".join(f"{offset:010} 00000 n \n".encode() for offset in offsets)
    previous = f"/Prev {table}" if loop else ""
    out += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R {previous} >>\nstartxref\n{table}\n%%EOF\n".encode()
    return bytes(out)


def bomb_pdf(size: int) -> bytes:
    """A PDF of a few kilobytes whose one page decompresses to `size` bytes."""
    packer, block = zlib.compressobj(9), b" " * (1 << 20)
    once = b"".join(packer.compress(block) for _ in range(size >> 20)) + packer.flush()
    return raw_pdf(zlib.compress(once, 9), filters="/Filter [/FlateDecode /FlateDecode]")


def _wrapped(line: str) -> list[str]:
    lines = [""]
    for word in line.split(" "):
        if len(lines[-1]) + len(word) >= _LINE:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return lines
