"""The formats that are read. The next one is a module here, and a line below."""

from __future__ import annotations

from penstock.extract import markdown, pdf, text
from penstock.extract.format import Format

FORMATS: tuple[Format, ...] = (
    text.FORMAT,
    markdown.FORMAT,
    pdf.FORMAT,
)
"""Of two that match equally well, the earlier is taken."""
