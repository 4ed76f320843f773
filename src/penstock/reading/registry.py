"""The formats that are read. The next one is a module here, a kind in `kinds`, and a line below."""

from __future__ import annotations

from penstock.reading.format import Format
from penstock.reading.formats import csv as table
from penstock.reading.formats import epub, html, json, mail, markdown, rtf, text, xml
from penstock.reading.formats import zip as zipped
from penstock.reading.formats.odt import odt
from penstock.reading.formats.office import docx, pptx, xlsx
from penstock.reading.formats.pdf import pdf

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
