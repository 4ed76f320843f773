"""EML: messages, with who wrote what to whom, the text of the body, and each attachment as parts of its own.

A mailbox is several messages, one after the other. A browser saves a web page with all that it shows as a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from penstock.reading.format import Format, Look, Match
from penstock.reading.formats import html
from penstock.reading.formats.mail_headers import decoded_header, header_policy
from penstock.reading.formats.mail_parts import SEALED, content_of, inner_parts, is_cut_short, name_of, text_parts
from penstock.reading.kinds import EML
from penstock.reading.parts import within
from penstock.reading.protocol import Opened, Read, Text, Warned
from penstock.reading.source import Source
from penstock.reading.text.encoding import decoded, encoding_of
from penstock.reading.text.flow import Flow

if TYPE_CHECKING:
    from email.message import Message

_SHOWN = ("Subject", "From", "To", "Cc", "Bcc", "Date")
_HEADERS = re.compile(rb"^\s*(?:>?From [^\r\n]*\r?\n)?((?:[!-9;-~]{1,80}:[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*(?:\r?\n|$))+)")
_FROM_LINE = re.compile(rb"^From \S* +(?=[^\r\n]{0,60}\d\d:\d\d)[^\r\n]{10,90}\r?\n(?=[!-9;-~]{1,80}:)", re.MULTILINE)
"""The line before each message of a mailbox (RFC 4155, appendix A)."""
_FIELD = re.compile(rb"^(?!Received:(?![ \t]*(?:from|by|\()))([!-9;-~]+):", re.MULTILINE | re.IGNORECASE)
"""The name of a header. A `Received:` that does not go on as mail servers write it is none: any text may say that
something was received."""
_MAIL_ONLY = {
    b"mime-version", b"message-id", b"received", b"received-spf", b"x-received", b"return-path",
    b"delivered-to", b"envelope-to", b"dkim-signature", b"authentication-results", b"arc-seal", b"x-gm-message-state",
}  # fmt: skip
"""Headers that only messages have. Some messages begin with so many of these that `From:` stands behind the bytes which
are looked at."""
_USUAL = {b"from", b"to", b"subject", b"date", b"cc"}
_BODY_HEADERS = {b"content-type", b"content-transfer-encoding"}
_PARAGRAPH_END = re.compile(r"\r?\n[ \t]*\r?\n")
_UUENCODED = re.compile(rb"^begin [0-7]{3,4} ([^\r\n]+)\r?\n((?:[ -`]{1,90}\r?\n)+)end[ \t]*\r?$", re.MULTILINE)


def match(look: Look) -> Match:
    headers = _HEADERS.match(look.text)
    if headers is None:
        return Match.NO
    fields = {each.lower() for each in _FIELD.findall(headers[1])}
    mail_only, usual = len(fields & _MAIL_ONLY), len(fields & _USUAL)
    if mail_only and mail_only + usual > 1:
        return Match.CERTAIN
    return Match.PERHAPS if mail_only or usual or fields & _BODY_HEADERS else Match.NO


def read(source: Source) -> Iterator[Read]:
    yield Opened("eml", "email", paged=False)
    first, *others = _messages(_content(source))
    flow = Flow()
    yield from _read_message(source, first, flow)
    for count, other in enumerate(others, 2):
        for frame in within(source.part(other, f"message {count}.eml"), flow.number):
            yield frame
            flow.follow(frame)


def _content(source: Source) -> bytes:
    with source.open() as file:
        content = file.read()
    codec = encoding_of(source).codec
    if codec.startswith("utf-") and codec != "utf-8":  # some programs save a message as if it were a text
        content = content.decode(codec, errors="replace").encode()
    return content.lstrip()


def _messages(content: bytes) -> list[bytes]:
    """The messages of a mailbox, or the one message that the file is."""
    if _FROM_LINE.match(content) is None:
        return [content]
    starts = [found.start() for found in _FROM_LINE.finditer(content)]
    return [content[start:end] for start, end in zip(starts, [*starts[1:], len(content)], strict=True)]


def _read_message(source: Source, content: bytes, flow: Flow) -> Iterator[Read]:
    from email.parser import BytesParser  # noqa: PLC0415 - other formats do not need it

    message = BytesParser(policy=header_policy()).parsebytes(content)
    _write_headers(message, flow)
    if is_cut_short(message):
        yield Warned("The message ends before its last part does; something may be missing.")
    attached: list[Message] = []
    sealed = False
    for part in text_parts(message, attached):
        if part.get_content_type() in SEALED:
            sealed = True
            continue
        for _ in _write_part(part, flow, attached):
            yield from flow.full()
    yield from flow.rest()
    if sealed:
        yield Text(flow.number, "", problem="its body is encrypted, or sealed by a signature; save a decrypted copy")
        flow.skip(1)
    yield from _read_attached(source, attached, flow)


def _read_attached(source: Source, attached: list[Message], flow: Flow) -> Iterator[Read]:
    for count, part in enumerate(attached, 1):
        name, declared = name_of(part), f"{part.get_content_type()}; charset={part.get_content_charset('')}"
        content = content_of(part)
        if not content and not name:
            continue
        for frame in within(source.part(content, name or f"attachment {count}", declared), flow.number):
            yield frame
            flow.follow(frame)


def _write_headers(message: Message, flow: Flow) -> None:
    for name in _SHOWN:
        if text := ", ".join(decoded_header(each) for each in message.get_all(name, [])):
            flow.line(f"{name}: {text}")
    flow.close_table()


def _write_part(part: Message, flow: Flow, attached: list[Message]) -> Iterator[None]:
    """Write the text of a part, and yield after each paragraph. Files that lie within the text are appended to
    `attached`."""
    kind = part.get_content_type()
    if kind.startswith("message/"):
        yield from _write_report(part, flow)
        return
    content = content_of(part)
    if kind == "text/html" or html.begins(content):
        yield from html.write(content, flow, declared=part.get_content_charset())
        return
    attached += map(_uuencoded_file, _UUENCODED.finditer(content))
    text = decoded(_UUENCODED.sub(b"", content), part.get_content_charset())
    if part.get_param("format") == "flowed":
        text = _unwrapped(text, blank=part.get_param("delsp") != "yes")
    if kind in {"text/enriched", "text/richtext"}:
        text = re.sub(r"<(?!<)[^<>]*>", "", text).replace("<<", "<")
    for paragraph in _PARAGRAPH_END.split(text):
        flow.block(paragraph)
        yield


def _write_report(part: Message, flow: Flow) -> Iterator[None]:
    """Write what became of another message, such as that it was not delivered: blocks of headers (RFC 3464)."""
    for block in inner_parts(part):
        for name, value in block.items():
            flow.line(f"{name}: {decoded_header(value)}")
        flow.close_table()
        flow.block(decoded(content_of(block), block.get_content_charset()))
        yield


def _unwrapped(text: str, *, blank: bool) -> str:
    """The text with the lines joined that were one: a line that ends with a blank goes on in the next line of the same
    quotation (RFC 3676, section 4).

    Args:
        blank: whether the blank at the end belongs to the text.
    """
    lines: list[list[str]] = []
    open_quote: str | None = None
    for line in text.splitlines():
        words = line.lstrip(">")
        quote, words = line[: len(line) - len(words)], words.removeprefix(" ")
        goes_on = words.endswith(" ") and words != "-- "
        if quote != open_quote or words == "-- ":
            lines.append([])
            words = f"{quote} {words}" if quote else words
        lines[-1].append(words[:-1] if goes_on and not blank else words)
        open_quote = quote if goes_on else None
    return "\n".join(map("".join, lines))


def _uuencoded_file(found: re.Match[bytes]) -> Message:
    """A file that lies in the text itself, as it was done before there were attachments."""
    from email.message import Message  # noqa: PLC0415 - other formats do not need it

    part = Message(header_policy())
    part["Content-Type"] = "application/octet-stream"
    part["Content-Transfer-Encoding"] = "x-uuencode"
    part.add_header("Content-Disposition", "attachment", filename=found[1].decode(errors="replace"))
    part.set_payload(found[0].decode("ascii", errors="replace") + "\n")
    return part


FORMAT = Format(EML, match=match, read=read)
