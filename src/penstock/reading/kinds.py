"""Kinds: the files that are read, by what they are called. Light, so that a door may ask without loading what reads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """Of file."""

    name: str
    title: str
    """For people: "The file cannot be read as {title}"."""
    suffixes: tuple[str, ...]
    media_types: tuple[str, ...]
    """The first is its own; senders use the others as well."""


TEXT = Kind(
    name="text",
    title="plain text",
    suffixes=(".txt", ".text", ".log"),
    media_types=("text/plain",),
)

MARKDOWN = Kind(
    name="markdown",
    title="Markdown",
    suffixes=(".md", ".markdown", ".mdown", ".mkd"),
    media_types=("text/markdown", "text/x-markdown", "text/plain"),
)

PDF = Kind(
    name="pdf",
    title="PDF",
    suffixes=(".pdf",),
    media_types=("application/pdf", "application/x-pdf"),
)

DOCX = Kind(
    name="docx",
    title="a Word document (DOCX)",
    suffixes=(".docx", ".docm", ".dotx"),
    media_types=(
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "application/vnd.ms-word.document.macroenabled.12",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.template",
    ),
)

PPTX = Kind(
    name="pptx",
    title="a presentation (PPTX)",
    suffixes=(".pptx", ".pptm", ".ppsx", ".potx"),
    media_types=(
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "application/vnd.ms-powerpoint.presentation.macroenabled.12",
        "application/vnd.openxmlformats-officedocument.presentationml.slideshow",
    ),
)

XLSX = Kind(
    name="xlsx",
    title="a workbook (XLSX)",
    suffixes=(".xlsx", ".xlsm", ".xltx"),
    media_types=(
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/vnd.ms-excel.sheet.macroenabled.12",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.template",
    ),
)

CSV = Kind(
    name="csv",
    title="a table (CSV, TSV)",
    suffixes=(".csv", ".tsv", ".tab"),
    media_types=("text/csv", "text/tab-separated-values", "application/csv", "text/plain"),
)

HTML = Kind(
    name="html",
    title="a web page (HTML)",
    suffixes=(".html", ".htm", ".xhtml"),
    media_types=("text/html", "application/xhtml+xml"),
)

EPUB = Kind(
    name="epub",
    title="a book (EPUB)",
    suffixes=(".epub",),
    media_types=("application/epub+zip",),
)

EML = Kind(
    name="eml",
    title="a message (EML)",
    suffixes=(".eml", ".mbox", ".mht", ".mhtml"),
    media_types=("message/rfc822", "application/mbox", "multipart/related"),
)

ODT = Kind(
    name="odt",
    title="an OpenDocument text (ODT)",
    suffixes=(".odt", ".ott"),
    media_types=("application/vnd.oasis.opendocument.text", "application/vnd.oasis.opendocument.text-template"),
)

RTF = Kind(
    name="rtf",
    title="rich text (RTF)",
    suffixes=(".rtf",),
    media_types=("application/rtf", "text/rtf"),
)

JSON = Kind(
    name="json",
    title="JSON",
    suffixes=(".json", ".jsonl", ".ndjson"),
    media_types=("application/json", "application/jsonl", "application/x-ndjson", "text/plain"),
)

XML = Kind(
    name="xml",
    title="XML",
    suffixes=(".xml",),
    media_types=("application/xml", "text/xml"),
)

ZIP = Kind(
    name="zip",
    title="a ZIP archive",
    suffixes=(".zip",),
    media_types=("application/zip", "application/x-zip-compressed"),
)


KINDS = (TEXT, MARKDOWN, PDF, DOCX, PPTX, XLSX, CSV, HTML, EPUB, EML, ODT, RTF, JSON, XML, ZIP)

"""Of two that a file could be as well, the earlier is taken."""


def media_type_of(name: str) -> str | None:
    """The media type that a file's name tells; None where it tells of none of these."""
    lowered = name.lower()
    return next((each.media_types[0] for each in KINDS if lowered.endswith(each.suffixes)), None)


def spoken(media_type: str) -> str:
    """The kind's own media type, for one that senders use as well; any other as it is."""
    return next((each.media_types[0] for each in KINDS if media_type in each.media_types), media_type)


def media_types() -> frozenset[str]:
    """Each kind's own."""
    return frozenset(each.media_types[0] for each in KINDS)
