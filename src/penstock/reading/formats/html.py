"""HTML: what a reader of the page sees, by selectolax. Nothing is fetched, and no script is run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from penstock.domain.errors import LimitHit, Unreadable
from penstock.reading.format import Format, Look, Match
from penstock.reading.formats.text import guessed
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
"""One of which stands in the head of what may have elements that are empty by a slash alone."""
_EMPTY = re.compile(
    r"<(?!(?:area|base|basefont|br|col|embed|frame|hr|img|input|link|meta|param|source|track|wbr)\b)"
    r"([a-zA-Z][\w:.-]*)(\s[^<>]*|)/>"
)
_HEAD = 16_384
"""Bytes or characters in which a page says what it is."""
_SOFT_HYPHEN = "\xad"
"""Where a word may be broken; it is none that is shown."""
_BLANKS = re.compile(r"\s+")
_SKIPPED = frozenset({
    "script", "style", "template", "noscript", "noframes", "head", "iframe", "object", "datalist", "-comment",
    "metadata", "annotation", "annotation-xml", "rp",  # formulas and readings once more
})  # fmt: skip
_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "button", "caption", "center", "dd", "details", "dialog",
    "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6",
    "header", "hr", "html", "legend", "li", "main", "nav", "ol", "option", "p", "pre", "section", "select",
    "summary", "table", "tbody", "td", "text", "textarea", "tfoot", "th", "thead", "tr", "ul",
})  # fmt: skip
_LINES = frozenset({"li", "dt", "dd", "option", "caption", "tr"})
"""Blocks that the next one belongs close to."""
_HEADINGS = {f"h{level}": level for level in range(1, 7)}


def match(look: Look) -> Match:
    if begins(look.text):
        return Match.CERTAIN
    return Match.PERHAPS if _TAG.search(look.text) else Match.NO


def begins(content: bytes) -> bool:
    """Whether it is a page, as far as its beginning tells."""
    return _BEGINS.match(content) is not None


def read(source: Source) -> Iterator[Read]:
    with source.open() as file:
        content = file.read()
    yield Opened("html", "selectolax", paged=False)
    encoding = encoding_of(source, _declared(content))
    yield from guessed(encoding)
    flow = Flow()
    for _ in _written(content.decode(encoding.codec, errors="replace"), flow):
        yield from flow.full()
    yield from flow.rest()


def write(content: bytes, flow: Flow, *, declared: str | None = None) -> Iterator[None]:
    """All text of a page, a step after each block. `declared`: the encoding that something other than the page says.

    Raises:
        Unreadable: the library cannot parse it.
    """
    yield from _written(decoded(content, declared or _declared(content)), flow)


def _declared(content: bytes) -> str | None:
    found = _META.search(content[:_HEAD]) or _ENCODING.match(content)
    return found[1].decode() if found else None


def _written(text: str, flow: Flow) -> Iterator[None]:
    from selectolax.lexbor import LexborHTMLParser  # noqa: PLC0415 - other formats do not need it

    head = text[:_HEAD].lower()
    if any(each in head for each in _XML):
        text = _without_cdata(_EMPTY.sub(r"<\1\2></\1>", text))
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
    """HTML takes such a section for a comment."""
    before, *sections = text.split("<![CDATA[")
    for section in sections:
        inside, end, after = section.partition("]]>")
        before += (escape(inside, quote=False) + after) if end else section
    return before


class _Walk:
    """Over a page, in the order of its text; without recursion, as hostile pages are deep."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._text: list[str] = []
        self._kept = 0
        """How many elements are open in which blanks count."""
        self._ended = False
        """Whether a block was since the last step."""
        self._base: list[str] = []
        """While a reading is open, which stands over characters, what was gathered before it."""
        self._readings: list[str] = []

    def over(self, root: LexborNode) -> Iterator[None]:
        """A step after each block."""
        node: LexborNode | None = root
        while node is not None:
            if self._ended:
                self._ended = False
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
        self._end("")

    def _enter(self, node: LexborNode) -> None:
        tag = node.tag or ""
        if tag == "-text":
            text = (node.text_content or "").replace(_SOFT_HYPHEN, "")
            self._text.append(text if self._kept else _BLANKS.sub(" ", text))
            return
        if tag in _BLOCKS:
            self._end("")
        match tag:
            case "br":
                self._text.append("\n")
            case "img" if alternative := node.attributes.get("alt"):
                self._text.append(f" {alternative} ")
            case "rt":
                self._base, self._text = self._text, []
            case "pre" | "textarea":
                self._kept += 1
            case "table":
                self._flow.open_table()
            case "td" | "th":
                self._flow.open_cell()

    def _leave(self, tag: str) -> None:
        if tag in _BLOCKS:
            self._end(tag)
        match tag:
            case "rt":
                self._readings.append("".join(self._text).strip())
                self._text = self._base
            case "ruby" if self._readings:  # behind all that they are of, which so remains a word
                self._text.append(f" ({''.join(self._readings)}) ")
                self._readings = []
            case "pre" | "textarea":
                self._kept -= 1
            case "td" | "th":
                self._flow.close_cell()
            case "tr":
                self._flow.close_row()
            case "table":
                self._flow.close_table()

    def _end(self, tag: str) -> None:
        """Of a block: what was gathered is one."""
        text = "".join(self._text)
        self._text = []
        if not self._kept:
            text = "\n".join(" ".join(line.split()) for line in text.split("\n"))
        if not text.strip():
            return
        self._ended = True
        if tag in _HEADINGS:
            self._flow.heading(_HEADINGS[tag], text)
        elif tag in _LINES:
            self._flow.line(text)
        else:
            self._flow.block(text)


FORMAT = Format(HTML, match=match, read=read)
