"""The envelope of a task message: Celery's protocol 2 in plain JSON. It is read, not passed on: nothing but the id, the
task and its ids ever reaches Celery, so no header of a stranger (callbacks, time limits, links) has an effect."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

from penstock.domain.errors import BadRequest, Permanent
from penstock.domain.ids import document_id, tenant_id
from penstock.domain.task import Message, Stage

STAGE_TASKS: Mapping[str, Stage] = {f"penstock.{stage}": stage for stage in Stage}
SWEEP_TASK = "penstock.sweep"
PING_TASK = "penstock.ping"
LONGEST = 12 * 60 * 60
"""Seconds that SQS allows a message to be invisible."""


_REASON = 1000


def printable(reason: str) -> str:
    """In a log's line, and in what SQS takes: a reason may quote what a stranger sent."""
    return reason.encode("ascii", "backslashreplace").decode()[:_REASON]


def dead_letter_request(url: str, body: str, reason: str) -> dict[str, Any]:
    """What SQS is asked to send to the dead-letter queue at `url`: the body as it came, with the reason."""
    attributes = {"reason": {"DataType": "String", "StringValue": printable(reason)}}
    return {"QueueUrl": url, "MessageBody": body, "MessageAttributes": attributes}


class Poison(Permanent):
    """The message can never be run: {why}."""

    code = "poison_message"


@dataclass(frozen=True, slots=True)
class Envelope:
    id: str
    task: str
    arguments: Mapping[str, str | int]

    def delivery(self, receipt: str, info: Mapping[str, object]) -> Mapping[str, Any]:
        """What kombu's virtual channels make a message from: its tag is the receipt handle, `info` says where it is
        from."""
        return {
            "body": json.dumps([[], self.arguments, {}]),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {"lang": "py", "id": self.id, "task": self.task, "root_id": self.id},
            "properties": {
                "correlation_id": self.id,
                "delivery_tag": receipt,
                "delivery_info": info,
            },
        }


def read(text: str) -> Envelope:
    """
    Raises:
        Poison: it is no JSON, no envelope, of no known task, or its arguments are not the ids of that task.
    """
    envelope = _mapping(_json(text, "the message"), "the message")
    headers = _mapping(envelope.get("headers"), "headers")
    task, ident = headers.get("task"), headers.get("id")
    if not isinstance(task, str) or task not in _ARGUMENTS:
        raise Poison(why=f"no task {task!r} is known here")
    if not isinstance(ident, str) or not ident:
        raise Poison(why="headers have no id")
    return Envelope(ident, task, _arguments(task, envelope.get("body")))


def _arguments(task: str, body: object) -> Mapping[str, str | int]:
    parts = _json(body, "the body")
    if not isinstance(parts, list) or len(parts) != 3 or parts[0] != []:  # noqa: PLR2004 - args, kwargs, embed
        raise Poison(why="the body is not [[], arguments, options]")
    given = _mapping(parts[1], "arguments")
    try:
        return _ARGUMENTS[task](given)
    except BadRequest as wrong:
        raise Poison(why=str(wrong)) from None


def _ids(stage: Stage, given: Mapping[str, object]) -> Mapping[str, str | int]:
    message = Message.of(stage, given)
    tenant_id(message.tenant)
    document_id(message.document)
    return message.arguments()


def _ping(given: Mapping[str, object]) -> Mapping[str, str | int]:
    tenant, ping = given.get("tenant"), given.get("ping")
    if not isinstance(tenant, str) or not isinstance(ping, str) or given.keys() != {"tenant", "ping"}:
        raise BadRequest(why=f"A ping has exactly tenant, ping; got {dict(given)!r}.")
    return {"tenant": tenant_id(tenant), "ping": ping}


def _none(given: Mapping[str, object]) -> Mapping[str, str | int]:
    if given:
        raise BadRequest(why=f"A sweep has no arguments; got {dict(given)!r}.")
    return {}


_ARGUMENTS: Mapping[str, Callable[[Mapping[str, object]], Mapping[str, str | int]]] = {
    **{name: partial(_ids, stage) for name, stage in STAGE_TASKS.items()},
    SWEEP_TASK: _none,
    PING_TASK: _ping,
}
"""Every task that is known here, and what makes sure of its arguments."""


def _json(text: object, what: str) -> object:
    if not isinstance(text, str):
        raise Poison(why=f"{what} is no text")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Poison(why=f"{what} is no JSON") from None


def _mapping(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise Poison(why=f"{what}: not a JSON object")
    return value


_LONGEST_REASON = 1000


def _envelope(task: str, arguments: Mapping[str, str | int], queue: str) -> str:
    """What Celery's `send_task` would have put on this queue."""
    id_ = str(uuid4())
    links = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    return json.dumps(
        {
            "body": json.dumps([[], arguments, links]),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                "lang": "py",
                "task": task,
                "id": id_,
                "shadow": None,
                "eta": None,
                "expires": None,
                "group": None,
                "group_index": None,
                "retries": 0,
                "timelimit": [None, None],
                "root_id": id_,
                "parent_id": None,
                "argsrepr": "()",
                "kwargsrepr": repr(dict(arguments)),
                "origin": "penstock",
                "ignore_result": True,
                "replaced_task_nesting": 0,
                "stamped_headers": None,
                "stamps": {},
            },
            "properties": {
                "correlation_id": id_,
                "reply_to": "",
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": queue},
                "priority": 0,
                "body_encoding": None,
                "delivery_tag": str(uuid4()),
            },
        }
    )


def _sendable(text: str) -> str:
    """SQS refuses an empty text, and characters that XML cannot hold."""
    kept = "".join(each if each.isprintable() or each in "\t\n" else "\N{REPLACEMENT CHARACTER}" for each in text)
    return kept[:_LONGEST_REASON] or "none was given"
