"""EML: messages: who wrote what to whom, the text of the body, and each attachment as parts of its own. A mailbox is
messages one after the other, and a web page with all that it shows is saved as a message."""

from __future__ import annotations

import binascii
import quopri
import re
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING

from penstock.reading.format import Format, Look, Match
from penstock.reading.formats import html
from penstock.reading.kinds import EML
from penstock.reading.parts import within
from penstock.reading.protocol import Opened, Read, Text, Warned
from penstock.reading.source import Source
from penstock.reading.text.encoding import decoded, encoding_of
from penstock.reading.text.flow import Flow

if TYPE_CHECKING:
    from email.message import Message
    from email.policy import Policy

_TITLE = EML.title
_SHOWN = ("Subject", "From", "To", "Cc", "Bcc", "Date")
_HEADERS = re.compile(rb"^\s*(?:>?From [^\r\n]*\r?\n)?((?:[!-9;-~]{1,80}:[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*(?:\r?\n|$))+)")
_NEXT = re.compile(rb"^From \S* +(?=[^\r\n]{0,60}\d\d:\d\d)[^\r\n]{10,90}\r?\n(?=[!-9;-~]{1,80}:)", re.MULTILINE)
"""The line before each message of a mailbox (RFC 4155, appendix A)."""
_FIELD = re.compile(rb"^(?!Received:(?![ \t]*(?:from|by|\()))([!-9;-~]+):", re.MULTILINE | re.IGNORECASE)
"""A text may say as well what was received."""
_TELLING = {
    b"mime-version", b"message-id", b"received", b"received-spf", b"x-received", b"return-path",
    b"delivered-to", b"envelope-to", b"dkim-signature", b"authentication-results", b"arc-seal", b"x-gm-message-state",
}  # fmt: skip
"""That only messages have; some begin with so many of them that who wrote it is beyond the bytes looked at."""
_USUAL = {b"from", b"to", b"subject", b"date", b"cc"}
_OF_ITS_BODY = {b"content-type", b"content-transfer-encoding"}
_WRITTEN = {"text/plain", "text/html", "text/enriched", "text/richtext"}
_MESSAGES = {"message/rfc822", "message/global", "message/news"}
_UNSAID = {
    "application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature",
    "text/css", "text/javascript", "application/javascript", "application/x-javascript",
}  # fmt: skip
"""Signatures, and what a web page looks like and does."""
_WORDLESS = {"image", "audio", "video", "font"}
_SEALED = {"application/pkcs7-mime", "application/x-pkcs7-mime", "multipart/encrypted"}
_ENCODED = {"base64", "quoted-printable"}
_PARAGRAPH_END = re.compile(r"\r?\n[ \t]*\r?\n")
_UUENCODED = re.compile(rb"^begin [0-7]{3,4} ([^\r\n]+)\r?\n((?:[ -`]{1,90}\r?\n)+)end[ \t]*\r?$", re.MULTILINE)
_HIDDEN = re.compile(rb"</?(?:style|script)\b", re.IGNORECASE)
_MARKUP = re.compile(rb"<[^<>]*>|&\w+;")
_LETTERS = re.compile(rb"[0-9A-Za-z\x80-\xff]+")
_STUB = 2
"""How many times the words of the plain text an HTML has that says more: that its reader should look at the HTML."""


def match(look: Look) -> Match:
    headers = _HEADERS.match(look.text)
    if headers is None:
        return Match.NO
    fields = {each.lower() for each in _FIELD.findall(headers[1])}
    telling, usual = len(fields & _TELLING), len(fields & _USUAL)
    if telling and telling + usual > 1:
        return Match.CERTAIN
    return Match.PERHAPS if telling or usual or fields & _OF_ITS_BODY else Match.NO


def read(source: Source) -> Iterator[Read]:
    yield Opened("eml", "email", paged=False)
    content, *others = _messages(_content_of(source))
    flow = Flow()
    yield from _read(source, content, flow)
    for count, other in enumerate(others, 2):
        for frame in within(source.part(other, f"message {count}.eml"), flow.number):
            yield frame
            flow.follow(frame)


def _read(source: Source, content: bytes, flow: Flow) -> Iterator[Read]:
    from email.parser import BytesParser  # noqa: PLC0415 - other formats do not need it

    message = BytesParser(policy=_policy()).parsebytes(content)
    for name in _SHOWN:
        if said := ", ".join(_said(each) for each in message.get_all(name, [])):
            flow.line(f"{name}: {said}")
    flow.close_table()
    if _is_cut(message):
        yield Warned("The message ends before its last part does; something may be missing.")
    attached: list[Message] = []
    sealed = False
    for part in _body(message, attached):
        sealed = sealed or part.get_content_type() in _SEALED
        for _ in _write(part, flow, attached):
            yield from flow.full()
    yield from flow.rest()
    if sealed:
        yield Text(flow.number, "", problem="its body is encrypted, or sealed by a signature; save a decrypted copy")
        flow.skip(1)
    for count, part in enumerate(attached, 1):
        name, declared = _name(part), f"{part.get_content_type()}; charset={part.get_content_charset('')}"
        content = _content(part)
        if not content and not name:
            continue
        for frame in within(source.part(content, name or f"attachment {count}", declared), flow.number):
            yield frame
            flow.follow(frame)


def _is_cut(message: Message) -> bool:
    from email.errors import CloseBoundaryNotFoundDefect  # noqa: PLC0415

    last = [message]
    while last:
        message = last[-1]
        if any(isinstance(each, CloseBoundaryNotFoundDefect) for each in message.defects):
            return True
        last = _inner(message)
    return False


def _content_of(source: Source) -> bytes:
    with source.open() as file:
        content = file.read()
    codec = encoding_of(source).codec
    if codec.startswith("utf-") and codec != "utf-8":  # some programs save a message as if it were a text
        content = content.decode(codec, errors="replace").encode()
    return content.lstrip()


def _messages(content: bytes) -> list[bytes]:
    """Those of a mailbox; of a message itself."""
    if _NEXT.match(content) is None:
        return [content]
    begins = [found.start() for found in _NEXT.finditer(content)]
    return [content[begin:end] for begin, end in zip(begins, [*begins[1:], len(content)], strict=True)]


@cache
def _policy() -> Policy[Message]:
    """The newer ones fail on headers that people send; the old one loses what is not ASCII."""
    from email.policy import Compat32  # noqa: PLC0415

    class AsSent(Compat32):
        def header_fetch_parse(self, name: str, value: str) -> str:  # noqa: ARG002 - the library's own
            return value if value.isascii() else decoded(value.encode("utf-8", "surrogateescape"), None)

    return AsSent()


def _body(message: Message, attached: list[Message]) -> Iterator[Message]:
    """The parts that are read as the message itself; the others are put to those that are attached. Of alternatives
    one is read; what is attached to the others is not lost."""
    waiting = [(message, True)]
    while waiting:
        part, shown = waiting.pop()
        kind, inner = part.get_content_type(), _inner(part)
        if kind in _SEALED:
            yield part
        elif kind in _UNSAID:
            continue
        elif kind in _MESSAGES or (part.get_content_disposition() == "attachment" and not inner):
            attached.append(part)
        elif kind.startswith("message/") and inner:
            yield part
        elif inner:
            best = _best(inner) if kind == "multipart/alternative" else None
            waiting += [(each, shown and best in (None, each)) for each in reversed(inner)]
        elif not part.get_filename() and (kind in _WRITTEN or kind.startswith("multipart/")):
            if shown:
                yield part
        elif part.get_filename() or (shown and part.get_content_maintype() not in _WORDLESS):
            attached.append(part)


def _inner(part: Message) -> list[Message]:
    inner = part.get_payload() if part.is_multipart() else []  # of others it would be decoded by whatever they declare
    return [each for each in inner if not isinstance(each, str)]


def _best(alternatives: list[Message]) -> Message:
    """The plain text; but if the HTML has much more to say, then that; where there is neither, the last, which is the
    richest."""
    written: dict[str, tuple[Message, Message]] = {}
    for alternative in alternatives:
        for part in _leaves(alternative):
            if not part.get_filename():
                written.setdefault(part.get_content_type(), (part, alternative))
    plain, rich = written.get("text/plain"), written.get("text/html")
    if plain is None or rich is None:
        return (plain or rich or (None, alternatives[-1]))[1]
    said = len(_LETTERS.findall(_content(plain[0])))
    shown = b" ".join(_HIDDEN.split(_content(rich[0]))[::2])
    return rich[1] if len(_LETTERS.findall(_MARKUP.sub(b" ", shown))) > _STUB * said else plain[1]


def _leaves(part: Message) -> Iterator[Message]:
    """Without recursion, as hostile messages are deep."""
    waiting = [part]
    while waiting:
        part = waiting.pop()
        inner = _inner(part)
        waiting += reversed(inner)
        if not inner:
            yield part


def _write(part: Message, flow: Flow, attached: list[Message]) -> Iterator[None]:
    """A step after each paragraph."""
    kind = part.get_content_type()
    if kind in _SEALED:
        return
    if kind.startswith("message/"):
        for block in _inner(part):
            for name, said in block.items():
                flow.line(f"{name}: {_said(said)}")
            flow.close_table()
            flow.block(decoded(_content(block), block.get_content_charset()))
            yield
        return
    content = _content(part)
    if kind == "text/html" or html.begins(content):
        yield from html.write(content, flow, declared=part.get_content_charset())
        return
    content = _UUENCODED.sub(lambda found: _put_aside(found, attached), content)
    text = decoded(content, part.get_content_charset())
    if part.get_param("format") == "flowed":
        text = _unwrapped(text, blank=part.get_param("delsp") != "yes")
    if kind in {"text/enriched", "text/richtext"}:
        text = re.sub(r"<(?!<)[^<>]*>", "", text).replace("<<", "<")
    for paragraph in _PARAGRAPH_END.split(text):
        flow.block(paragraph)
        yield


def _unwrapped(text: str, *, blank: bool) -> str:
    """Lines that end with a blank go on in the next one of the same quotation (RFC 3676, 4). `blank`: it is kept."""
    lines: list[list[str]] = []
    flowing: str | None = None
    for line in text.splitlines():
        said = line.lstrip(">")
        quote, said = line[: len(line) - len(said)], said.removeprefix(" ")
        flows = said.endswith(" ") and said != "-- "
        if quote != flowing or said == "-- ":
            lines.append([])
            said = f"{quote} {said}" if quote else said
        lines[-1].append(said[:-1] if flows and not blank else said)
        flowing = quote if flows else None
    return "\n".join(map("".join, lines))


def _put_aside(found: re.Match[bytes], attached: list[Message]) -> bytes:
    """A file that lies in the text itself, in the way of old."""
    from email.message import Message  # noqa: PLC0415

    part = Message(_policy())
    part["Content-Type"] = "application/octet-stream"
    part["Content-Transfer-Encoding"] = "x-uuencode"
    part.add_header("Content-Disposition", "attachment", filename=found[1].decode(errors="replace"))
    part.set_payload(found[0].decode("ascii", errors="replace") + "\n")
    attached.append(part)
    return b""


def _content(part: Message) -> bytes:
    inner = _inner(part)
    if part.get_content_type() in _MESSAGES and inner:
        encoded = str(part.get("Content-Transfer-Encoding", "")).strip().lower() in _ENCODED
        if encoded and not inner[0].items():  # no message may be encoded so, but some are
            inner[0]["Content-Transfer-Encoding"] = part["Content-Transfer-Encoding"]
            return _content(inner[0])
        return b"".join(each.as_bytes() for each in inner)
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


_WORD = re.compile(r"=\?([^?\s*]*)[^?\s]*\?([bq])\?(.*?)\?=", re.IGNORECASE)
_WORDS = re.compile(r"=\?[^?\s]*\?[bq]\?.*?\?=(?:\s*=\?[^?\s]*\?[bq]\?.*?\?=)*", re.IGNORECASE)


def _said(header: str) -> str:
    """Decoded, on one line (RFC 2047). What lies between encoded words goes; a character may begin in one of them and
    end in the next."""
    if "=?" in header:
        header = _WORDS.sub(_decoded_words, header)
    return " ".join(header.split())


def _decoded_words(found: re.Match[str]) -> str:
    words = _WORD.findall(found[0])
    try:
        return "".join(
            decoded(b"".join(_word(how, said) for _, how, said in run), charset)
            for charset, run in groupby(words, key=lambda word: word[0].lower())
        )
    except binascii.Error:
        return found[0]


def _word(how: str, said: str) -> bytes:
    if how in "qQ":
        return quopri.decodestring(said.encode(), header=True)
    return binascii.a2b_base64(said.encode() + b"==")


def _name(part: Message) -> str:
    """What it is called; of a message, its subject."""
    name = part.get_filename()
    inner = _inner(part)
    if name is None and part.get_content_type() in _MESSAGES and inner:
        subject = _said(inner[0].get("Subject", ""))
        return f"{subject}.eml" if subject else ""
    return _said(name or "")


FORMAT = Format(EML, match=match, read=read)
