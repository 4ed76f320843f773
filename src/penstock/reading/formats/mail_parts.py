"""Mail parts: which parts of a message are its text, and which are files that are attached to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import TYPE_CHECKING

from penstock.reading.formats.mail_headers import decoded_header

if TYPE_CHECKING:
    from email.message import Message

SEALED = {"application/pkcs7-mime", "application/x-pkcs7-mime", "multipart/encrypted"}
"""Types of a body that is encrypted, or sealed by a signature that encloses it."""
_TEXTS = {"text/plain", "text/html", "text/enriched", "text/richtext"}
_MESSAGES = {"message/rfc822", "message/global", "message/news"}
_IGNORED = {
    "application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature",
    "text/css", "text/javascript", "application/javascript", "application/x-javascript",
}  # fmt: skip
"""Types that are never read: signatures, and the styles and scripts of a web page."""
_WORDLESS = {"image", "audio", "video", "font"}
"""Main types that hold no text. A part of one is attached only if it has a file name. Without one it belongs to the
layout of the message, and is ignored."""
_ENCODED = {"base64", "quoted-printable"}
_HIDDEN = re.compile(rb"</?(?:style|script)\b", re.IGNORECASE)
_MARKUP = re.compile(rb"<[^<>]*>|&\w+;")
_WORD = re.compile(rb"[0-9A-Za-z\x80-\xff]+")
_STUB = 2
"""The HTML is read if it has more than this many times the words of the plain text. The plain text is then a stub which
only says that its reader should look at the HTML."""


class _Role(Enum):
    """What a part is to its message."""

    TEXT = auto()
    """The part is read as text of the message itself."""
    ATTACHED = auto()
    """The part is a file of its own."""
    CONTAINER = auto()
    """The part only holds other parts."""
    IGNORED = auto()


def text_parts(message: Message, attached: list[Message]) -> Iterator[Message]:
    """The parts that are read as the text of the message, in their order. The parts that are files are appended to
    `attached`.

    One of several alternatives is read. What is attached to the others is not lost. Parts are walked without recursion,
    as hostile messages are deep.
    """
    waiting = [(message, True)]
    while waiting:
        part, shown = waiting.pop()
        match _role(part, shown=shown):
            case _Role.TEXT:
                yield part
            case _Role.ATTACHED:
                attached.append(part)
            case _Role.CONTAINER:
                waiting += reversed([(each, shown and chosen) for each, chosen in _choices(part)])


def _role(part: Message, *, shown: bool) -> _Role:
    """
    Args:
        shown: False within an alternative that is not read.
    """
    kind, inner = part.get_content_type(), inner_parts(part)
    if kind in SEALED:
        return _Role.TEXT
    if kind in _IGNORED:
        return _Role.IGNORED
    if kind in _MESSAGES or (part.get_content_disposition() == "attachment" and not inner):
        return _Role.ATTACHED
    if inner:  # a `message/…` of this form reports what became of another message
        return _Role.TEXT if kind.startswith("message/") else _Role.CONTAINER
    return _role_of_leaf(part, shown=shown)


def _role_of_leaf(part: Message, *, shown: bool) -> _Role:
    """The role of a part without inner parts. A multipart whose parts are missing has only its text."""
    kind, has_name = part.get_content_type(), bool(part.get_filename())
    if not has_name and (kind in _TEXTS or kind.startswith("multipart/")):
        return _Role.TEXT if shown else _Role.IGNORED
    if has_name or (shown and part.get_content_maintype() not in _WORDLESS):
        return _Role.ATTACHED
    return _Role.IGNORED


def _choices(container: Message) -> list[tuple[Message, bool]]:
    """The parts of a container, each with whether it is one that is read."""
    inner = inner_parts(container)
    if container.get_content_type() != "multipart/alternative":
        return [(each, True) for each in inner]
    best = _best_of(inner)
    return [(each, each is best) for each in inner]


def _best_of(alternatives: list[Message]) -> Message:
    """The alternative with the plain text, or the one with the HTML if that has much more to say. If only one of them
    exists, that one. If neither does, the last alternative, which by the standard is the richest."""
    found: dict[str, tuple[Message, Message]] = {}
    for alternative in alternatives:
        for part in _leaves(alternative):
            if not part.get_filename():
                found.setdefault(part.get_content_type(), (part, alternative))
    plain, html = found.get("text/plain"), found.get("text/html")
    if plain is None or html is None:
        return (plain or html or (None, alternatives[-1]))[1]
    words = len(_WORD.findall(content_of(plain[0])))
    shown = b" ".join(_HIDDEN.split(content_of(html[0]))[::2])
    return html[1] if len(_WORD.findall(_MARKUP.sub(b" ", shown))) > _STUB * words else plain[1]


def _leaves(part: Message) -> Iterator[Message]:
    """The parts that hold no others. They are walked without recursion, as hostile messages are deep."""
    waiting = [part]
    while waiting:
        part = waiting.pop()
        inner = inner_parts(part)
        waiting += reversed(inner)
        if not inner:
            yield part


def inner_parts(part: Message) -> list[Message]:
    inner = part.get_payload() if part.is_multipart() else []  # of other parts the library would decode the payload
    return [each for each in inner if not isinstance(each, str)]


def is_cut_short(message: Message) -> bool:
    """Whether the boundary that closes the last part, or the last part within that, is missing."""
    from email.errors import CloseBoundaryNotFoundDefect  # noqa: PLC0415 - other formats do not need it

    last = [message]
    while last:
        message = last[-1]
        if any(isinstance(each, CloseBoundaryNotFoundDefect) for each in message.defects):
            return True
        last = inner_parts(message)
    return False


def content_of(part: Message) -> bytes:
    """The bytes of a part. Those of an attached message are the message itself."""
    inner = inner_parts(part)
    if part.get_content_type() in _MESSAGES and inner:
        encoded = str(part.get("Content-Transfer-Encoding", "")).strip().lower() in _ENCODED
        if encoded and not inner[0].items():  # the standard forbids to encode a message so, but some programs do
            inner[0]["Content-Transfer-Encoding"] = part["Content-Transfer-Encoding"]
            return content_of(inner[0])
        return b"".join(each.as_bytes() for each in inner)
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def name_of(part: Message) -> str:
    """The file name of a part, or the subject of an attached message that has no file name. It is empty if the part has
    neither."""
    name = part.get_filename()
    inner = inner_parts(part)
    if name is None and part.get_content_type() in _MESSAGES and inner:
        subject = decoded_header(inner[0].get("Subject", ""))
        return f"{subject}.eml" if subject else ""
    return decoded_header(name or "")
