"""Yields the elements of an XML stream as they come. Nothing is fetched, and the expansion of entities is limited."""

from __future__ import annotations

from collections.abc import Iterator
from html.entities import html5
from typing import Protocol

from penstock.domain.errors import Unreadable
from penstock.reading.limits import ReadLimits

_BLOCK = 1 << 16
_DIGITS = 9
"""The maximum number of digits of a number; a longer one is beyond all use."""
_AMPLIFIED = 43
"""The code of expat's error XML_ERROR_AMPLIFICATION_LIMIT_BREACH."""

Element = tuple[str, str, dict[str, str]]
"""Either `start` with a name and attributes, or `end` with a name, or `text` with the text. Names have no prefixes."""


def number_in(value: str | None, default: int = 0) -> int:
    """The whole number in an attribute's value, or the default if it is no number or has too many digits."""
    return int(value) if value and value.isascii() and value.isdigit() and len(value) <= _DIGITS else default


class Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


def elements(stream: Stream, limits: ReadLimits, kind: str, encoding: str | None = None) -> Iterator[Element]:
    """Yield the elements of a stream. If an encoding is given, it is used whatever the XML declares.

    Raises:
        LimitHit: its entities expand to too many characters.
        Unreadable: it is not well-formed from here on; everything before was yielded.
    """
    from pyexpat import ExpatError  # noqa: PLC0415 - other formats do not need it

    parsed = _Parsed(encoding)
    bytes_read, ended, damage = 0, False, None
    while not ended:
        block = stream.read(_BLOCK)
        bytes_read += len(block)
        ended = not block
        try:
            parsed.parser.Parse(block, ended)
        except ExpatError as error:
            damage, ended = error, True
            parsed.parser.buffer_text = False  # so that it passes on the text that it still holds
        except (LookupError, ValueError) as error:  # its declared encoding is unknown
            raise Unreadable(kind=kind, why=f"its XML is damaged ({error})") from error
        # Characters beyond the number of bytes read come from entities. Expat itself stops at a hundred times as many.
        if parsed.characters - bytes_read > limits.entity_chars or (damage and damage.code == _AMPLIFIED):
            raise limits.hit("entity_chars", "characters of entities")
        yield from parsed.found
        parsed.found.clear()
    if damage is not None:
        raise Unreadable(kind=kind, why=f"its XML is damaged ({damage})") from damage


class _Parsed:
    """The elements that the parser has found since the last block, and the number of all characters so far."""

    def __init__(self, encoding: str | None) -> None:
        from pyexpat import ParserCreate  # noqa: PLC0415

        self.found: list[Element] = []
        self.characters = 0
        self._names: dict[str, str] = {}
        self.parser = ParserCreate(encoding)
        self.parser.buffer_text = True
        self.parser.buffer_size = _BLOCK
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        # An external DTD is assumed, and not fetched: it could declare any entity, so that an unknown one is no error.
        self.parser.UseForeignDTD(True)
        self.parser.ExternalEntityRefHandler = lambda *_: 1
        self.parser.SkippedEntityHandler = self._unknown

    def _local(self, name: str) -> str:
        if name not in self._names:
            self._names[name] = name.rpartition(":")[2]
        return self._names[name]

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if attributes:
            self.characters += sum(map(len, attributes.values()))
            if ":" in "".join(attributes):  # of two with the same local name, the one with a prefix counts
                bare = {key: value for key, value in attributes.items() if ":" not in key}
                prefixed = ((key, value) for key, value in attributes.items() if ":" in key)
                attributes = bare | {self._local(key): each for key, each in prefixed if not key.startswith("xmlns:")}
        self.found.append(("start", self._local(name), attributes))

    def _end(self, name: str) -> None:
        self.found.append(("end", self._local(name), {}))

    def _unknown(self, name: str, is_parameter: int) -> None:
        if not is_parameter:
            self._text(html5.get(f"{name};", f"&{name};"))

    def _text(self, data: str) -> None:
        self.characters += len(data)
        self.found.append(("text", data, {}))
