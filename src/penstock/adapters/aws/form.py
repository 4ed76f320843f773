"""How a dataclass lies in a DynamoDB item: under short names, and without what equals its default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Generic, TypeVar, cast

from penstock.domain.document import BuildId
from penstock.domain.page_ranges import numbers, ranges

Attribute = dict[str, Any]
"""A value as DynamoDB's API writes it, such as {"S": "text"}."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """How one kind of value is written, under DynamoDB's letter for its type, and read."""

    letter: str
    write: Callable[[T], Any]
    read: Callable[[Any], T]

    def pack(self, value: T) -> Attribute:
        return {self.letter: self.write(value)}

    def unpack(self, attribute: Mapping[str, Any]) -> T:
        """
        Raises:
            ValueError: it is not of this kind.
        """
        if set(attribute) != {self.letter}:
            raise ValueError(f"{self.letter} expected, {'/'.join(attribute)} found")
        return self.read(attribute[self.letter])


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def _build_id(text: str) -> BuildId:
    generation, _, build = text.partition(".")
    return BuildId(int(generation), int(build))


TEXT: Kind[str] = Kind("S", str, str)
WHOLE: Kind[int] = Kind("N", str, int)
REAL: Kind[float] = Kind("N", repr, float)
FLAG: Kind[bool] = Kind("BOOL", bool, bool)
PAIR: Kind[BuildId] = Kind("S", str, _build_id)
NUMBERS: Kind[frozenset[int]] = Kind("S", lambda each: ranges(sorted(each)), lambda text: frozenset(numbers(text)))
"""A set of whole numbers, at least one; most of them in runs."""
MOMENT: Kind[datetime] = Kind(
    "N",
    lambda moment: str((moment - _EPOCH) // _MILLISECOND),
    lambda number: _EPOCH + int(number) * _MILLISECOND,
)
"""To the millisecond."""


def word(kind: type[StrEnum]) -> Kind[Any]:
    """One of these words."""
    return Kind("S", str, kind)


def listed(kind: Kind[T]) -> Kind[tuple[T, ...]]:
    return Kind("L", lambda each: [kind.pack(one) for one in each], lambda each: tuple(map(kind.unpack, each)))


def mapped(kind: Kind[T], name: Callable[[str], Any] = str) -> Kind[Mapping[Any, T]]:
    """`name` makes a name of its text."""
    return Kind(
        "M",
        lambda values: {str(each): kind.pack(value) for each, value in values.items()},
        lambda values: {name(each): kind.unpack(value) for each, value in values.items()},
    )


class Form(Generic[T]):
    """The attributes of a dataclass: short name, field and kind of each, as a table.

    Reading is strict. A name that is not in the table is an error: dropping it would lose what another version of
    Penstock keeps there with the next write.
    """

    def __init__(self, made: type[T], **attributes: tuple[str, Kind[Any]]) -> None:
        self._made = made
        self._attributes = attributes
        self._defaults = {
            field.name: field.default if field.default_factory is MISSING else field.default_factory()
            for field in fields(cast("Any", made))
        }

    @property
    def fields(self) -> set[str]:
        """The fields in the table."""
        return {field for field, _ in self._attributes.values()}

    @property
    def kind(self) -> Kind[T]:
        """This form as the value of an attribute of another."""
        return Kind("M", self.pack, self.unpack)

    def pack(self, value: T) -> dict[str, Attribute]:
        return {
            name: kind.pack(held)
            for name, (field, kind) in self._attributes.items()
            if (held := getattr(value, field)) != self._defaults[field]
        }

    def unpack(self, attributes: Mapping[str, Attribute], **known: object) -> T:
        """`known`: fields that are not in the table.

        Raises:
            ValueError: an attribute is unknown, missing, or not of its kind; which.
        """
        held = dict(known)
        for name, attribute in attributes.items():
            if name not in self._attributes:
                raise ValueError(f"attribute {name} is unknown")
            field, kind = self._attributes[name]
            try:
                held[field] = kind.unpack(attribute)
            except (ValueError, TypeError) as error:
                raise ValueError(f"attribute {name} ({field}): {error}") from error
        missing = [field for field, default in self._defaults.items() if default is MISSING and field not in held]
        if missing:
            raise ValueError(f"{', '.join(missing)} missing")
        return self._made(**held)
