"""The formats that are read. The next one is a module here, a kind in `kinds`, and a line below."""

from __future__ import annotations

from penstock.extract import docx, epub, html, json, mail, markdown, odt, pdf, pptx, rtf, table, text, xlsx, xml, zipped
from penstock.extract.format import Format

FORMATS: tuple[Format, ...] = (
    text.FORMAT,
    markdown.FORMAT,
    pdf.FORMAT,
    docx.FORMAT,
    pptx.FORMAT,
    xlsx.FORMAT,
    table.FORMAT,
    html.FORMAT,
    epub.FORMAT,
    mail.FORMAT,
    odt.FORMAT,
    rtf.FORMAT,
    json.FORMAT,
    xml.FORMAT,
    zipped.FORMAT,
)
"""Of two that match equally well, the earlier is taken."""
