"""Markup: the elements of an XML stream as they come. Nothing is fetched, and entities unfold under a limit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from penstock.errors import Unreadable
from penstock.extract.limits import ReadLimits

_BLOCK = 1 << 16

Element = tuple[str, str, dict[str, str]]
"""`start` or `end` with a name and, at the start, attributes; or `text` with the text. Names are without prefixes."""


class Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


def elements(stream: Stream, limits: ReadLimits, kind: str) -> Iterator[Element]:
    """
    Raises:
        LimitHit: its entities unfold to too much.
        Unreadable: it is not well-formed from here on; all before it has come.
    """
    from pyexpat import ExpatError, ParserCreate, errors  # noqa: PLC0415 - other formats do not need it

    found: list[Element] = []
    said = given = 0
    names: dict[str, str] = {}

    def local(name: str) -> str:
        if name not in names:
            names[name] = name.rpartition(":")[2]
        return names[name]

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal said
        if attributes:
            said += sum(map(len, attributes.values()))
            if ":" in "".join(attributes):  # of two that are alike but for their prefix, the one that has one is meant
                bare = {key: value for key, value in attributes.items() if ":" not in key}
                prefixed = ((key, value) for key, value in attributes.items() if ":" in key)
                attributes = bare | {local(key): value for key, value in prefixed if not key.startswith("xmlns:")}
        found.append(("start", local(name), attributes))

    def text(data: str) -> None:
        nonlocal said
        said += len(data)
        found.append(("text", data, {}))

    parser = ParserCreate()
    parser.buffer_text = True
    parser.buffer_size = _BLOCK
    parser.StartElementHandler, parser.CharacterDataHandler = start, text
    parser.EndElementHandler = lambda name: found.append(("end", local(name), {}))
    ended = False
    while not ended:
        block = stream.read(_BLOCK)
        given += len(block)
        ended = not block
        try:
            parser.Parse(block, ended)
        except ExpatError as error:
            if error.code == errors.codes.get(getattr(errors, "XML_ERROR_AMPLIFICATION_LIMIT_BREACH", ""), 43):
                raise limits.hit("entity_chars", "characters of entities") from error
            if said - given > limits.entity_chars:
                raise limits.hit("entity_chars", "characters of entities") from error
            yield from found
            raise Unreadable(kind=kind, why=f"its XML is damaged ({error})") from error
        # What is said beyond what was given is from entities.
        if said - given > limits.entity_chars:
            raise limits.hit("entity_chars", "characters of entities")
        yield from found
        found.clear()
