"""The kinds of file that Penstock reads, and what each is called. This module loads nothing that reads a file, so that
the API, whose cold start counts, can ask which media types are accepted.

A new format takes two files: its module in `formats/`, which defines FORMAT, and this one, which gets its `Kind`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file that Penstock reads."""

    name: str
    """The name for programs, which a document's record and the command line show."""
    module: str
    """The module that reads this kind, below `penstock.reading.formats`. Its FORMAT is loaded in the child process
    only."""
    title: str
    """The name for people, which error messages use: "The file cannot be read as {title}"."""
    suffixes: tuple[str, ...]
    """The endings of file names, in lower case and with the dot."""
    media_types: tuple[str, ...]
    """The first media type is the kind's own one; senders use the others for it as well."""


TEXT = Kind(
    name="text",
    module="text",
    title="plain text",
    suffixes=(".txt", ".text", ".log"),
    media_types=("text/plain",),
)

MARKDOWN = Kind(
    name="markdown",
    module="markdown",
    title="Markdown",
    suffixes=(".md", ".markdown", ".mdown", ".mkd"),
    media_types=("text/markdown", "text/x-markdown", "text/plain"),
)

PDF = Kind(
    name="pdf",
    module="pdf.pdf",
    title="PDF",
    suffixes=(".pdf",),
    media_types=("application/pdf", "application/x-pdf"),
)

DOCX = Kind(
    name="docx",
    module="office.docx",
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
    module="office.pptx",
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
    module="office.xlsx",
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
    module="csv",
    title="a table (CSV, TSV)",
    suffixes=(".csv", ".tsv", ".tab"),
    media_types=("text/csv", "text/tab-separated-values", "application/csv", "text/plain"),
)

HTML = Kind(
    name="html",
    module="html",
    title="a web page (HTML)",
    suffixes=(".html", ".htm", ".xhtml"),
    media_types=("text/html", "application/xhtml+xml"),
)

EPUB = Kind(
    name="epub",
    module="epub",
    title="a book (EPUB)",
    suffixes=(".epub",),
    media_types=("application/epub+zip",),
)

EML = Kind(
    name="eml",
    module="mail",
    title="a message (EML)",
    suffixes=(".eml", ".mbox", ".mht", ".mhtml"),
    media_types=("message/rfc822", "application/mbox", "multipart/related"),
)

ODT = Kind(
    name="odt",
    module="odt.odt",
    title="an OpenDocument text (ODT)",
    suffixes=(".odt", ".ott"),
    media_types=("application/vnd.oasis.opendocument.text", "application/vnd.oasis.opendocument.text-template"),
)

RTF = Kind(
    name="rtf",
    module="rtf",
    title="rich text (RTF)",
    suffixes=(".rtf",),
    media_types=("application/rtf", "text/rtf"),
)

JSON = Kind(
    name="json",
    module="json",
    title="JSON",
    suffixes=(".json", ".jsonl", ".ndjson"),
    media_types=("application/json", "application/jsonl", "application/x-ndjson", "text/plain"),
)

XML = Kind(
    name="xml",
    module="xml",
    title="XML",
    suffixes=(".xml",),
    media_types=("application/xml", "text/xml"),
)

ZIP = Kind(
    name="zip",
    module="zip",
    title="a ZIP archive",
    suffixes=(".zip",),
    media_types=("application/zip", "application/x-zip-compressed"),
)


KINDS = (TEXT, MARKDOWN, PDF, DOCX, PPTX, XLSX, CSV, HTML, EPUB, EML, ODT, RTF, JSON, XML, ZIP)
"""All kinds. If a file could be of two kinds equally well, the earlier one is taken."""


def media_type_of(name: str) -> str | None:
    """The media type that the ending of a file's name stands for. It is None for an ending of no kind."""
    lowered = name.lower()
    return next((kind.media_types[0] for kind in KINDS if lowered.endswith(kind.suffixes)), None)


def canonical_media_type(media_type: str) -> str:
    """The kind's own media type, if senders use this one for a kind; otherwise the media type itself."""
    return next((kind.media_types[0] for kind in KINDS if media_type in kind.media_types), media_type)


def media_types() -> frozenset[str]:
    """Each kind's own media type."""
    return frozenset(kind.media_types[0] for kind in KINDS)
