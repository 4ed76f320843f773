"""HTML: the text that a reader of the page sees, by selectolax. Nothing is fetched, and no script is run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from penstock.domain.errors import LimitHit, Unreadable
from penstock.reading.format import Format, Look, Match
from penstock.reading.formats.text import guess_warning
from penstock.reading.kinds import HTML
from penstock.reading.protocol import Opened, Read
from penstock.reading.source import Source
from penstock.reading.text.encoding import decoded, encoding_of
from penstock.reading.text.flow import Flow

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_TITLE = HTML.title
_BEGINS = re.compile(
    rb"^\s*(?:<\?xml[^>]*>\s*)?(?:<!--(?:(?!-->).)*-->\s*)*<(?:!doctype\s+html|html)\b|^\s*<\?xml[^>]*>\s*<(?:head|body|link|meta)\b",
    re.IGNORECASE | re.DOTALL,
)
_TAG = re.compile(rb"<(?:!--|/?[a-zA-Z][a-zA-Z0-9-]*(?:\s[^<>]*)?/?>)")
_META = re.compile(rb"<[mM][eE][tT][aA]\s[^<>]*[cC][hH][aA][rR][sS][eE][tT]\s*=\s*[\"']?([a-zA-Z0-9_:-]+)")
_ENCODING = re.compile(rb"^\s*<\?xml[^>]+encoding=[\"']([a-zA-Z0-9_:-]+)")
_XML = ("<?xml", "xmlns", "xhtml")
"""Signs of XHTML, in which an element may be closed by a slash alone. At least one stands in the head of such a
page."""
_SELF_CLOSED = re.compile(
    r"<(?!(?:area|base|basefont|br|col|embed|frame|hr|img|input|link|meta|param|source|track|wbr)\b)"
    r"([a-zA-Z][\w:.-]*)(\s[^<>]*|)/>"
)
"""An element that is closed by a slash alone, except for those that are always empty in HTML."""
_HEAD = 16_384
"""The length of the beginning in which a page says what it is, in bytes or characters."""
_SOFT_HYPHEN = "\xad"
"""It marks where a word may be broken, and is not shown."""
_BLANKS = re.compile(r"\s+")
_SKIPPED = frozenset({
    "script", "style", "template", "noscript", "noframes", "head", "iframe", "object", "datalist", "-comment",
    "metadata", "annotation", "annotation-xml", "rp",  # these repeat formulas and readings
})  # fmt: skip
_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "button", "caption", "center", "dd", "details", "dialog",
    "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6",
    "header", "hr", "html", "legend", "li", "main", "nav", "ol", "option", "p", "pre", "section", "select",
    "summary", "table", "tbody", "td", "text", "textarea", "tfoot", "th", "thead", "tr", "ul",
})  # fmt: skip
_LINES = frozenset({"li", "dt", "dd", "option", "caption", "tr"})
"""Blocks that are followed by a line end instead of an empty line."""
_HEADINGS = {f"h{level}": level for level in range(1, 7)}


def match(look: Look) -> Match:
    if begins(look.text):
        return Match.CERTAIN
    return Match.PERHAPS if _TAG.search(look.text) else Match.NO


def begins(content: bytes) -> bool:
    """Whether the content is a web page, as far as its beginning shows."""
    return _BEGINS.match(content) is not None


def read(source: Source) -> Iterator[Read]:
    with source.open() as file:
        content = file.read()
    yield Opened("html", "selectolax", paged=False)
    encoding = encoding_of(source, _declared(content))
    yield from guess_warning(encoding)
    flow = Flow()
    for _ in _write_text(content.decode(encoding.codec, errors="replace"), flow):
        yield from flow.full()
    yield from flow.rest()


def write(content: bytes, flow: Flow, *, declared: str | None = None) -> Iterator[None]:
    """Write all text of a page, and yield after each block.

    Args:
        declared: the encoding, if something other than the page says it.

    Raises:
        Unreadable: the library cannot parse the page.
    """
    yield from _write_text(decoded(content, declared or _declared(content)), flow)


def _declared(content: bytes) -> str | None:
    found = _META.search(content[:_HEAD]) or _ENCODING.match(content)
    return found[1].decode() if found else None


def _write_text(text: str, flow: Flow) -> Iterator[None]:
    from selectolax.lexbor import LexborHTMLParser  # noqa: PLC0415 - other formats do not need it

    head = text[:_HEAD].lower()
    if any(each in head for each in _XML):
        text = _without_cdata(_SELF_CLOSED.sub(r"<\1\2></\1>", text))
    try:
        page = LexborHTMLParser(text)
        title = page.css_first("head > title")
        root = page.root
    except (MemoryError, LimitHit):
        raise
    except Exception as error:
        raise Unreadable(kind=_TITLE, why=" ".join(str(error).split()) or type(error).__name__) from error
    if title is not None:
        flow.block(_BLANKS.sub(" ", title.text()))
    if root is not None:
        yield from _Walk(flow).over(root)


def _without_cdata(text: str) -> str:
    """The text with its CDATA sections written as HTML, which would take them for comments."""
    before, *sections = text.split("<![CDATA[")
    for section in sections:
        inside, end, after = section.partition("]]>")
        before += (escape(inside, quote=False) + after) if end else section
    return before


class _Walk:
    """Walks over a page in the order of its text. It does not recurse, as hostile pages are deep."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._text: list[str] = []
        """The text of the open block."""
        self._preformatted = 0
        """The number of open elements in which blanks and line ends are kept as they are."""
        self._block_ended = False
        """Whether a block was written since the walk last yielded."""
        self._base: list[str] = []
        """The text before the open reading. A reading (`rt`) says how characters are pronounced, and stands above
        them."""
        self._readings: list[str] = []
        """The readings of the open `ruby` element."""

    def over(self, root: LexborNode) -> Iterator[None]:
        """Yield after each block."""
        node: LexborNode | None = root
        while node is not None:
            if self._block_ended:
                self._block_ended = False
                yield
            inner = None if node.tag in _SKIPPED else node.child
            if node.tag not in _SKIPPED:
                self._enter(node)
            if inner is not None:
                node = inner
                continue
            while node is not None:
                if node.tag not in _SKIPPED:
                    self._leave(node.tag or "")
                if node.mem_id == root.mem_id:
                    node = None
                    break
                if node.next is not None:
                    node = node.next
                    break
                node = node.parent
        self._end_block("")

    def _enter(self, node: LexborNode) -> None:
        tag = node.tag or ""
        if tag == "-text":
            text = (node.text_content or "").replace(_SOFT_HYPHEN, "")
            self._text.append(text if self._preformatted else _BLANKS.sub(" ", text))
            return
        if tag in _BLOCKS:
            self._end_block("")
        match tag:
            case "br":
                self._text.append("\n")
            case "img" if alternative := node.attributes.get("alt"):
                self._text.append(f" {alternative} ")
            case "rt":
                self._base, self._text = self._text, []
            case "pre" | "textarea":
                self._preformatted += 1
            case "table":
                self._flow.open_table()
            case "td" | "th":
                self._flow.open_cell()

    def _leave(self, tag: str) -> None:
        if tag in _BLOCKS:
            self._end_block(tag)
        match tag:
            case "rt":
                self._readings.append("".join(self._text).strip())
                self._text = self._base
            case "ruby" if self._readings:  # they follow all of their characters, which so remain a word
                self._text.append(f" ({''.join(self._readings)}) ")
                self._readings = []
            case "pre" | "textarea":
                self._preformatted -= 1
            case "td" | "th":
                self._flow.close_cell()
            case "tr":
                self._flow.close_row()
            case "table":
                self._flow.close_table()

    def _end_block(self, tag: str) -> None:
        """Write the text of the open block."""
        text = "".join(self._text)
        self._text = []
        if not self._preformatted:
            text = "\n".join(" ".join(line.split()) for line in text.split("\n"))
        if not text.strip():
            return
        self._block_ended = True
        if tag in _HEADINGS:
            self._flow.heading(_HEADINGS[tag], text)
        elif tag in _LINES:
            self._flow.line(text)
        else:
            self._flow.block(text)


FORMAT = Format(HTML, match=match, read=read)
