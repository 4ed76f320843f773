"""What Lambda hands to a consumer of SQS, and what it wants back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypedDict

Event = Mapping[str, Any]
Record = Mapping[str, Any]
"""A message of SQS, as Lambda hands it over."""


class LambdaContext(Protocol):
    """Of the invocation: what Lambda says of it."""

    @property
    def aws_request_id(self) -> str: ...

    def get_remaining_time_in_millis(self) -> int: ...


class Item(TypedDict):
    itemIdentifier: str


class Failures(TypedDict):
    """A partial-batch response: the messages to keep. Lambda deletes the others."""

    batchItemFailures: list[Item]


def each_record(event: Event, done: Callable[[Record], bool]) -> Failures:
    """The messages for which `done` answers False stay in their queue."""
    failed = [Item(itemIdentifier=record["messageId"]) for record in event["Records"] if not done(record)]
    return Failures(batchItemFailures=failed)
