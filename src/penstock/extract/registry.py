"""The formats that are read. The next one is a module here, and a line below."""

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


def media_type_of(name: str) -> str | None:
    """The media type that a file's name tells; None where it tells of none of these."""
    lowered = name.lower()
    return next((each.media_types[0] for each in FORMATS if lowered.endswith(each.suffixes)), None)


def spoken(media_type: str) -> str:
    """The format's own media type, for one that senders use as well; any other as it is."""
    return next((each.media_types[0] for each in FORMATS if media_type in each.media_types), media_type)


def media_types() -> frozenset[str]:
    """Each format's own."""
    return frozenset(each.media_types[0] for each in FORMATS)
