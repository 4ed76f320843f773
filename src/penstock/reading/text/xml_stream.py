"""Markup: the elements of an XML stream as they come. Nothing is fetched, and entities unfold under a limit."""

from __future__ import annotations

from collections.abc import Iterator
from html.entities import html5
from typing import Protocol

from penstock.domain.errors import Unreadable
from penstock.reading.limits import ReadLimits

_BLOCK = 1 << 16
_DIGITS = 9
_AMPLIFIED = 43
"""Expat's XML_ERROR_AMPLIFICATION_LIMIT_BREACH."""

Element = tuple[str, str, dict[str, str]]
"""`start` or `end` with a name and, at the start, attributes; or `text` with the text. Names are without prefixes."""


def number_in(said: str | None, otherwise: int = 0) -> int:
    """A whole number that an attribute says; `otherwise` where it says none, or one beyond all use."""
    return int(said) if said and said.isascii() and said.isdigit() and len(said) <= _DIGITS else otherwise


class Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


def elements(stream: Stream, limits: ReadLimits, kind: str, encoding: str | None = None) -> Iterator[Element]:
    """`encoding`: the one that it is in, whatever it says itself.

    Raises:
        LimitHit: its entities unfold to too much.
        Unreadable: it is not well-formed from here on; all before it has come.
    """
    from pyexpat import ExpatError  # noqa: PLC0415 - other formats do not need it

    parsed = _Parsed(encoding)
    given, ended, damage = 0, False, None
    while not ended:
        block = stream.read(_BLOCK)
        given += len(block)
        ended = not block
        try:
            parsed.parser.Parse(block, ended)
        except ExpatError as error:
            damage, ended = error, True
            parsed.parser.buffer_text = False  # so that it tells what it still holds
        except (LookupError, ValueError) as error:  # it says that it is in what is no encoding, or not known here
            raise Unreadable(kind=kind, why=f"its XML is damaged ({error})") from error
        # What is said beyond what was given is from entities. The library itself stops at a hundred times as much.
        if parsed.said - given > limits.entity_chars or (damage and damage.code == _AMPLIFIED):
            raise limits.hit("entity_chars", "characters of entities")
        yield from parsed.found
        parsed.found.clear()
    if damage is not None:
        raise Unreadable(kind=kind, why=f"its XML is damaged ({damage})") from damage


class _Parsed:
    """What the parser has told, and how much text that was."""

    def __init__(self, encoding: str | None) -> None:
        from pyexpat import ParserCreate  # noqa: PLC0415

        self.found: list[Element] = []
        self.said = 0
        self._names: dict[str, str] = {}
        self.parser = ParserCreate(encoding)
        self.parser.buffer_text = True
        self.parser.buffer_size = _BLOCK
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        # As if there were more of its kind elsewhere, which is not fetched: then what it does not declare is no damage.
        self.parser.UseForeignDTD(True)
        self.parser.ExternalEntityRefHandler = lambda *_: 1
        self.parser.SkippedEntityHandler = self._unknown

    def _local(self, name: str) -> str:
        if name not in self._names:
            self._names[name] = name.rpartition(":")[2]
        return self._names[name]

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if attributes:
            self.said += sum(map(len, attributes.values()))
            if ":" in "".join(attributes):  # of two that are alike but for their prefix, the one that has one is meant
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
        self.said += len(data)
        self.found.append(("text", data, {}))
