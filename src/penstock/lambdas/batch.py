"""The types of an SQS event of Lambda, and of the partial-batch response to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypedDict

Event = Mapping[str, Any]
Record = Mapping[str, Any]
"""A message of SQS in a Lambda event."""


class LambdaContext(Protocol):
    """What Lambda says of the invocation."""

    @property
    def aws_request_id(self) -> str: ...

    def get_remaining_time_in_millis(self) -> int: ...


class Item(TypedDict):
    """The id of a message that stays in its queue."""

    itemIdentifier: str


class Failures(TypedDict):
    """A partial-batch response. It names the messages that stay in their queue; Lambda deletes the others."""

    batchItemFailures: list[Item]


def each_record(event: Event, process: Callable[[Record], bool]) -> Failures:
    """Process each message. Those for which `process` returns False stay in their queue."""
    failed = [Item(itemIdentifier=record["messageId"]) for record in event["Records"] if not process(record)]
    return Failures(batchItemFailures=failed)
