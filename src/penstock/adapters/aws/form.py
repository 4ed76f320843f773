"""The form in which a dataclass is stored in a DynamoDB item: each field under a short name, unless it has its default.

DynamoDB charges for the names of attributes too, so names have one or two letters. A form is a table of them:

    CUT = Form(Cut, p=("page", WHOLE), f=("offset", WHOLE), n=("pieces", WHOLE), o=("ordinal", WHOLE))

`CUT.pack(Cut(page=3, offset=0, pieces=1, ordinal=7))` is `{"p": {"N": "3"}, "f": {"N": "0"}, "n": {"N": "1"}, "o":
{"N": "7"}}`, and `CUT.unpack` makes the Cut again. `CUT.kind` lets a form of another dataclass hold a Cut in one
attribute.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Generic, TypeVar, cast

from penstock.domain.ids import BuildId
from penstock.domain.page_ranges import numbers, ranges

Attribute = dict[str, Any]
"""A value as DynamoDB's API represents it, such as {"S": "text"}: its type's letter, and its content."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A kind of value: how it becomes an attribute, and how an attribute becomes a value again."""

    letter: str
    """DynamoDB's letter for the attribute's type, such as "S" for strings and "N" for numbers."""
    write: Callable[[T], Any]
    """Makes the attribute's content from the value."""
    read: Callable[[Any], T]
    """Makes the value from the attribute's content. It may raise ValueError."""

    def pack(self, value: T) -> Attribute:
        return {self.letter: self.write(value)}

    def unpack(self, attribute: Mapping[str, Any]) -> T:
        """
        Raises:
            ValueError: the attribute is not of this kind.
        """
        if set(attribute) != {self.letter}:
            raise ValueError(f"{self.letter} expected, {'/'.join(attribute)} found")
        return self.read(attribute[self.letter])


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def _read_build_id(text: str) -> BuildId:
    generation, _, build = text.partition(".")
    return BuildId(int(generation), int(build))


TEXT: Kind[str] = Kind("S", str, str)
WHOLE: Kind[int] = Kind("N", str, int)
REAL: Kind[float] = Kind("N", repr, float)
FLAG: Kind[bool] = Kind("BOOL", bool, bool)
BUILD_ID: Kind[BuildId] = Kind("S", str, _read_build_id)
NUMBERS: Kind[frozenset[int]] = Kind("S", lambda each: ranges(sorted(each)), lambda text: frozenset(numbers(text)))
"""A set of whole numbers, which is not empty. It is written as ranges, since most numbers stand in runs."""
MOMENT: Kind[datetime] = Kind(
    "N",
    lambda moment: str((moment - _EPOCH) // _MILLISECOND),
    lambda number: _EPOCH + int(number) * _MILLISECOND,
)
"""A time in UTC, written as milliseconds since 1970. Smaller parts are lost."""


def word(kind: type[StrEnum]) -> Kind[Any]:
    """A word of this enumeration."""
    return Kind("S", str, kind)


def listed(kind: Kind[T]) -> Kind[tuple[T, ...]]:
    """A list of values of this kind."""
    return Kind("L", lambda each: [kind.pack(one) for one in each], lambda each: tuple(map(kind.unpack, each)))


def mapped(kind: Kind[T], name: Callable[[str], Any] = str) -> Kind[Mapping[Any, T]]:
    """A map of names to values of this kind. `name` makes a name from its text, such as `int` for numbers."""
    return Kind(
        "M",
        lambda values: {str(each): kind.pack(value) for each, value in values.items()},
        lambda values: {name(each): kind.unpack(value) for each, value in values.items()},
    )


class Form(Generic[T]):
    """The table of a dataclass's attributes: for each short name, the field and its kind.

    Reading is strict: an attribute that is not in the table is an error. If it were ignored, the next write would lose
    what another version of Penstock stores there.
    """

    def __init__(self, dataclass_: type[T], **attributes: tuple[str, Kind[Any]]) -> None:
        self._dataclass = dataclass_
        self._attributes = attributes
        self._defaults = {
            field.name: field.default if field.default_factory is MISSING else field.default_factory()
            for field in fields(cast("Any", dataclass_))
        }

    @property
    def fields(self) -> set[str]:
        """The names of the fields that are in the table."""
        return {field for field, _ in self._attributes.values()}

    @property
    def kind(self) -> Kind[T]:
        """The kind of an attribute that holds a whole dataclass of this form."""
        return Kind("M", self.pack, self.unpack)

    def pack(self, value: T) -> dict[str, Attribute]:
        return {
            name: kind.pack(held)
            for name, (field, kind) in self._attributes.items()
            if (held := getattr(value, field)) != self._defaults[field]
        }

    def unpack(self, attributes: Mapping[str, Attribute], **known: object) -> T:
        """
        Args:
            known: the fields that are not in the table, such as those that the item's key says.

        Raises:
            ValueError: an attribute is unknown, missing, or not of its kind. The message names it.
        """
        values = dict(known)
        for name, attribute in attributes.items():
            if name not in self._attributes:
                raise ValueError(f"attribute {name} is unknown")
            field, kind = self._attributes[name]
            try:
                values[field] = kind.unpack(attribute)
            except (ValueError, TypeError) as error:
                raise ValueError(f"attribute {name} ({field}): {error}") from error
        missing = [field for field, default in self._defaults.items() if default is MISSING and field not in values]
        if missing:
            raise ValueError(f"{', '.join(missing)} missing")
        return self._dataclass(**values)
