"""EML: messages: who wrote what to whom, the text of the body, and each attachment as parts of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from penstock.extract import html
from penstock.extract.flow import Flow
from penstock.extract.format import Format, Look, Match
from penstock.extract.frames import Opened, Read
from penstock.extract.kinds import EML
from penstock.extract.parts import within
from penstock.extract.source import Source

if TYPE_CHECKING:
    from email.message import Message

_TITLE = EML.title
_SHOWN = ("Subject", "From", "To", "Cc", "Date")
_LINE = rb"[!-9;-~]{1,80}:[ \t][^\r\n]*(?:\r?\n[ \t][^\r\n]*)*\r?\n"
_HEADERS = re.compile(rb"^(?:From [^\r\n]*\r?\n)?((?:" + _LINE + rb")+)")
_TELLING = re.compile(
    rb"^(?:MIME-Version|Message-ID|Received|Return-Path|DKIM-Signature|Delivered-To):", re.IGNORECASE | re.MULTILINE
)
_USUAL = re.compile(rb"^(?:From|To|Subject|Date|Cc):", re.IGNORECASE | re.MULTILINE)


def match(look: Look) -> Match:
    headers = _HEADERS.match(look.head)
    if headers is None:
        return Match.NO
    usual = len(_USUAL.findall(headers[1]))
    if usual and _TELLING.search(headers[1]):
        return Match.CERTAIN
    return Match.PERHAPS if usual > 1 else Match.NO


def read(source: Source) -> Iterator[Read]:
    from email.parser import BytesParser  # noqa: PLC0415 - other formats do not need it
    from email.policy import compat32  # noqa: PLC0415 - the newer ones fail on headers that people send

    with source.open() as file:
        message = BytesParser(policy=compat32).parse(file)
    yield Opened("eml", "email", paged=False)
    flow = Flow()
    for name in _SHOWN:
        if said := _header(message, name):
            flow.line(f"{name}: {said}")
    flow.close_table()
    attached: list[Message] = []
    for part in _body(message, attached):
        _write(part, flow)
        yield from flow.full()
    yield from flow.rest()
    for count, part in enumerate(attached, 1):
        name = _name(part) or f"attachment {count}"
        for frame in within(source.part(_content(part), name, part.get_content_type()), flow.number):
            yield frame
            flow.follow(frame)


def _body(part: Message, attached: list[Message]) -> Iterator[Message]:
    """The parts that are read as the message itself; the others are put to those that are attached."""
    waiting = [part]
    while waiting:
        part = waiting.pop()
        kind = part.get_content_type()
        if part.get_content_disposition() == "attachment" or kind == "message/rfc822":
            attached.append(part)
        elif part.is_multipart():
            inner = [each for each in part.get_payload() if not isinstance(each, str)]
            waiting += [_best(inner)] if kind == "multipart/alternative" and inner else reversed(inner)
        elif kind in {"text/plain", "text/html"} and not part.get_filename():
            yield part
        elif part.get_filename() or part.get_content_maintype() != "image":
            attached.append(part)


def _best(alternatives: list[Message]) -> Message:
    """The plain text, if it has any; else the last, which is the richest."""
    plain = next((each for each in alternatives if each.get_content_type() == "text/plain"), None)
    return plain if plain is not None and _content(plain).strip() else alternatives[-1]


def _write(part: Message, flow: Flow) -> None:
    content = _content(part)
    codec = part.get_content_charset()
    if part.get_content_type() == "text/html":
        html.write(content, flow, codec=codec)
        return
    try:
        text = content.decode(codec or "utf-8", errors="replace")
    except LookupError:
        text = content.decode(errors="replace")
    for paragraph in re.split(r"\r?\n[ \t]*\r?\n", text):
        flow.block(paragraph)


def _content(part: Message) -> bytes:
    if part.get_content_type() == "message/rfc822" and part.is_multipart():
        inner = part.get_payload()
        return b"".join(each.as_bytes() for each in inner if not isinstance(each, str))
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _header(message: Message, name: str) -> str:
    """Decoded, on one line. Of one that cannot be, as it is."""
    from email.errors import HeaderParseError  # noqa: PLC0415
    from email.header import decode_header, make_header  # noqa: PLC0415

    said = message.get(name)
    if said is None:
        return ""
    try:
        text = str(make_header(decode_header(said)))
    except (HeaderParseError, LookupError, ValueError):
        text = str(said)
    return " ".join(text.split())


def _name(part: Message) -> str:
    """What it is called; of a message, its subject."""
    from email.header import decode_header, make_header  # noqa: PLC0415

    name = part.get_filename()
    inner = part.get_payload()
    if name is None and isinstance(inner, list) and inner and not isinstance(inner[0], str):
        subject = _header(inner[0], "Subject")
        return f"{subject}.eml" if subject else ""
    try:
        return str(make_header(decode_header(name))) if name else ""
    except Exception:  # noqa: BLE001 - a name that cannot be decoded is shown as it is
        return name or ""


FORMAT = Format(EML, match=match, read=read)
