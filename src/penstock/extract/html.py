"""HTML: what a reader of the page sees, by selectolax. Nothing is fetched, and no script is run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from penstock.errors import LimitHit, Unreadable
from penstock.extract.flow import Flow
from penstock.extract.format import Format, Look, Match
from penstock.extract.frames import Opened, Read
from penstock.extract.kinds import HTML
from penstock.extract.source import Source
from penstock.extract.text import encoding_of, guessed

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_TITLE = HTML.title
_BEGINS = re.compile(
    rb"^(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html)\b",
    re.IGNORECASE | re.DOTALL,
)
_FRAGMENT = re.compile(
    rb"^(?:\xef\xbb\xbf)?\s*<(?:!--|head|body|div|p|h[1-6]|table|ul|ol|section|article|main|span)\b", re.IGNORECASE
)
_CHARSET = re.compile(
    rb"<meta[^>]+charset\s*=\s*[\"']?([a-zA-Z0-9_:-]+)|^<\?xml[^>]+encoding=[\"']([a-zA-Z0-9_:-]+)", re.IGNORECASE
)
_HEAD = 4096
_BLANKS = re.compile(r"\s+")
_SKIPPED = frozenset(
    {"script", "style", "template", "noscript", "head", "svg", "iframe", "object", "datalist", "-comment"}
)
_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog", "div", "dl",
    "dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hr", "legend", "li", "main", "nav", "ol",
    "option", "p", "pre", "section", "select", "summary", "table", "tbody", "td", "textarea", "tfoot", "th", "thead",
    "tr", "ul", "html", "h1", "h2", "h3", "h4", "h5", "h6",
})  # fmt: skip
_LINES = frozenset({"li", "dt", "dd", "option", "caption", "tr"})
"""Blocks that the next one belongs close to."""
_HEADINGS = {f"h{level}": level for level in range(1, 7)}


def match(look: Look) -> Match:
    if _BEGINS.match(look.head):
        return Match.CERTAIN
    return Match.PERHAPS if _FRAGMENT.match(look.head) else Match.NO


def read(source: Source) -> Iterator[Read]:
    with source.open() as file:
        content = file.read()
    yield Opened("html", "selectolax", paged=False)
    declared = _CHARSET.search(content[:_HEAD])
    encoding = encoding_of(source)
    if encoding.guessed and declared is None:
        yield from guessed(encoding)
    flow = Flow()
    write(content, flow, codec=encoding.codec if not encoding.guessed or declared is None else None)
    yield from flow.rest()


def write(content: bytes, flow: Flow, *, codec: str | None = None) -> None:
    """All text of a page. `codec`: None for the one that the page declares.

    Raises:
        Unreadable: the library cannot parse it.
    """
    from selectolax.lexbor import LexborHTMLParser  # noqa: PLC0415 - other formats do not need it

    text = _decoded(content, codec)
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
        _Walk(flow).over(root)


def _decoded(content: bytes, codec: str | None) -> str:
    if codec is None:
        declared = _CHARSET.search(content[:_HEAD])
        codec = (declared[1] or declared[2]).decode() if declared else "utf-8"
    try:
        return content.decode(codec, errors="replace")
    except LookupError:  # it declares what is no encoding
        return content.decode(errors="replace")


class _Walk:
    """Over a page, in the order of its text; without recursion, as hostile pages are deep."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._text: list[str] = []
        self._kept = 0
        """How many elements are open in which blanks count."""

    def over(self, root: LexborNode) -> None:
        node: LexborNode | None = root
        while node is not None:
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
            text = node.text_content or ""
            self._text.append(text if self._kept else _BLANKS.sub(" ", text))
            return
        if tag in _BLOCKS:
            self._end("")
        match tag:
            case "br":
                self._text.append("\n")
            case "img" if alternative := node.attributes.get("alt"):
                self._text.append(f" {alternative} ")
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
        if tag in _HEADINGS:
            self._flow.heading(_HEADINGS[tag], text)
        elif tag in _LINES:
            self._flow.line(text)
        else:
            self._flow.block(text)


FORMAT = Format(HTML, match=match, read=read)
