"""The wire format of a task message: Celery's task protocol 2 in kombu's SQS envelope, as plain JSON.

`encode` writes a message without Celery, which takes long to import. `decode` reads one and passes on nothing but its
id, its task and the task's own ids, so that no header of a stranger (callbacks, time limits, links) has an effect.
"""

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


def task_name(stage: Stage) -> str:
    """The name of the Celery task that runs this stage."""
    return f"penstock.{stage}"


STAGE_TASKS: Mapping[str, Stage] = {task_name(stage): stage for stage in Stage}
SWEEP_TASK = "penstock.sweep"
PING_TASK = "penstock.ping"

MAX_VISIBILITY = 12 * 60 * 60
"""The longest time, in seconds, for which SQS hides a message."""

_MAX_REASON = 1000
"""A longer reason is cut after this many characters."""


class Poison(Permanent):
    """The message can never be run: {why}."""

    code = "poison_message"


def clean_reason(reason: str) -> str:
    """Make a reason fit for SQS and for a log line: it may quote what a stranger sent.

    SQS refuses an empty text, and characters that XML cannot hold.
    """
    replaced = "".join(each if each.isprintable() or each in "\t\n" else "\N{REPLACEMENT CHARACTER}" for each in reason)
    return replaced[:_MAX_REASON] or "no reason was given"


def reason_attributes(reason: str) -> dict[str, Any]:
    """The attributes of a dead letter on SQS: they carry the reason for which it is dead."""
    return {"reason": {"DataType": "String", "StringValue": clean_reason(reason)}}


def encode(task: str, arguments: Mapping[str, str | int], queue: str) -> str:
    """The body of the SQS message that Celery's `send_task` would have put on this queue.

    It is plain JSON: kombu decodes Base64 only where it finds it.
    """
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


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is read of a task message: everything else in it is ignored."""

    id: str
    task: str
    arguments: Mapping[str, str | int]

    def delivery(self, receipt: str, info: Mapping[str, object]) -> Mapping[str, Any]:
        """The payload from which kombu's virtual channels make a message.

        Args:
            receipt: the receipt handle of SQS; it becomes kombu's delivery tag.
            info: where the message comes from.
        """
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


def decode(text: str) -> Envelope:
    """Read the body of an SQS message.

    Raises:
        Poison: the text is no JSON, is no envelope, or names an unknown task; or its arguments are not the ids of that
            task.
    """
    envelope = _json_object(_parsed(text, "the message"), "the message")
    headers = _json_object(envelope.get("headers"), "headers")
    task, id_ = headers.get("task"), headers.get("id")
    if not isinstance(task, str) or task not in _ARGUMENTS:
        raise Poison(why=f"no task {task!r} is known here")
    if not isinstance(id_, str) or not id_:
        raise Poison(why="headers have no id")
    return Envelope(id_, task, _arguments(task, envelope.get("body")))


def _arguments(task: str, body: object) -> Mapping[str, str | int]:
    parts = _parsed(body, "the body")
    if not isinstance(parts, list) or len(parts) != 3 or parts[0] != []:  # noqa: PLR2004 - args, kwargs, embed
        raise Poison(why="the body is not [[], arguments, options]")
    try:
        return _ARGUMENTS[task](_json_object(parts[1], "arguments"))
    except BadRequest as wrong:
        raise Poison(why=str(wrong)) from None


def _stage_arguments(stage: Stage, arguments: Mapping[str, object]) -> Mapping[str, str | int]:
    message = Message.of(stage, arguments)
    tenant_id(message.tenant)
    document_id(message.document)
    return message.arguments()


def _ping_arguments(arguments: Mapping[str, object]) -> Mapping[str, str | int]:
    tenant, ping = arguments.get("tenant"), arguments.get("ping")
    if not isinstance(tenant, str) or not isinstance(ping, str) or arguments.keys() != {"tenant", "ping"}:
        raise BadRequest(why=f"A ping has exactly tenant, ping; got {dict(arguments)!r}.")
    return {"tenant": tenant_id(tenant), "ping": ping}


def _sweep_arguments(arguments: Mapping[str, object]) -> Mapping[str, str | int]:
    if arguments:
        raise BadRequest(why=f"A sweep has no arguments; got {dict(arguments)!r}.")
    return {}


_ARGUMENTS: Mapping[str, Callable[[Mapping[str, object]], Mapping[str, str | int]]] = {
    **{name: partial(_stage_arguments, stage) for name, stage in STAGE_TASKS.items()},
    SWEEP_TASK: _sweep_arguments,
    PING_TASK: _ping_arguments,
}
"""Every task that a message may name, and the function that checks its arguments."""


def _parsed(text: object, what: str) -> object:
    if not isinstance(text, str):
        raise Poison(why=f"{what} is no text")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Poison(why=f"{what} is no JSON") from None


def _json_object(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise Poison(why=f"{what}: not a JSON object")
    return value
