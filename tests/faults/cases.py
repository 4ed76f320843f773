"""All cases of the fault suite, and the stacks that they run on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from penstock.domain.provider_budget import SILENT_AFTER
from penstock.domain.status import Status
from tests.faults.acts import (
    AFTER_DELETE,
    BUDGET,
    HOLDS,
    RACES,
    add,
    add_again,
    add_and_cancel,
    add_and_remove,
    add_and_retry,
    both_runtimes,
    contend,
    drop,
    fails_to_read,
    fill_disk,
    fill_tmp,
    lock_index,
    needs_no_room,
    outage,
    post,
    race,
    race_removal,
    redeliver,
    refusals,
    refuses,
    replace_after,
    restart_all,
    right_beat,
    share_budget,
    stall,
    sweep_ahead,
    sweep_behind,
    two_workers,
    with_clock,
)
from tests.faults.case import ALONE, Case, PlannedFault
from tests.faults.stack import USUAL


@dataclass(frozen=True)
class Group:
    """Cases that share a stack, and the maximum number that run at a time."""

    name: str
    programs: Sequence[str] = USUAL
    settings: dict[str, str] = field(default_factory=dict)
    at_once: int = 14
    beside: bool = False
    """Whether the group runs beside the others, because it waits most of the time."""


_OFF = {
    word: tuple(f"{kind}-{word}" for kind in ("worker", "lambda-express", "beat", "poller", "api"))
    for word in ("ahead", "behind")
}
"""The programs whose clocks are an hour off."""
GROUPS = (
    Group("matrix"),
    Group("killed", (*USUAL, "express"), beside=True),
    Group(
        "disorder",
        (*USUAL, "worker-2", "lambda-express-brief", "lambda-express-brief-2"),
        {"PENSTOCK_ATTEMPTS": "40"},
    ),
    Group("races"),
    Group("index", ("worker", "beat", "poller", "api"), at_once=1),
    Group(
        "budget",
        ("worker", "worker-2", "beat", "poller", "api"),
        {"PENSTOCK_PROVIDER_REQUESTS_PER_MINUTE": str(BUDGET), "PENSTOCK_ATTEMPTS": "3"},
        beside=True,
    ),
    Group("small", ("worker-small", "lambda-express-small", "beat", "poller-small", "api", "api-small"), beside=True),
    # A program with a wrong clock has its lane or its sweeps to itself; programs with right clocks run beside it.
    Group("ahead", (*_OFF["ahead"], "lambda-bulk", "api"), beside=True),
    Group("behind", (*_OFF["behind"], "lambda", "api"), beside=True),
    Group("restart", USUAL),
)

_FAULTS: dict[str, dict[str, tuple[int, int]]] = {
    "500": {"times": (1, 6)},
    "503": {"times": (1, 6)},
    "throttle": {"times": (1, 6)},
    "reset before the effect": {"times": (1, 6)},
    "reset after the effect": {"times": (1, 3)},
    "silence": {},
    "garbage": {"times": (1, 3)},
    "slow": {"times": (1, 3)},
}
"""How often each fault is done. The client library copes with one; more than four are left to the queue."""

_PLACES: dict[str, list[tuple[str, tuple[int, int]]]] = {
    "S3": [("S3.GetObject", (0, 2)), ("S3.PutObject", (0, 1))],
    "SQS": [("SQS.SendMessage", (0, 1))],
    "DynamoDB": [("DynamoDB.(GetItem|BatchGetItem)", (0, 3)), ("DynamoDB.(PutItem|TransactWriteItems)", (0, 5))],
    "Provider": [("Provider.Embed", (0, 4))],
}
"""The requests that are made for a document of three shards, and the first of them that a fault is done to."""

_QUICK = {
    ("S3", "500", "worker"),
    ("S3", "503", "lambda.*"),
    ("S3", "garbage", "worker"),
    ("SQS", "reset after the effect", "worker"),
    ("SQS", "slow", "lambda.*"),
    ("DynamoDB", "reset before the effect", "lambda.*"),
    ("DynamoDB", "silence", "worker"),
    ("DynamoDB", "throttle", "worker"),
    ("Provider", "throttle", "lambda.*"),
    ("Provider", "garbage", "worker"),
}


def _matrix() -> Iterator[Case]:
    for number, (service, places) in enumerate(_PLACES.items()):
        for column, (fault, how) in enumerate(_FAULTS.items()):
            for turn, (who, lane) in enumerate((("worker", "standard"), ("lambda.*", "bulk"))):
                operation, skip = places[(number + column + turn) % len(places)]
                name = f"{service}, {fault}, {who.removesuffix('.*')}"
                yield Case(
                    name,
                    "matrix",
                    add,
                    (PlannedFault(fault, who, operation, skip, **how),),
                    batches=_in_vain(service, fault),
                    lane=lane,
                    quick=(service, fault, who) in _QUICK,
                )
    for operation in ("ReceiveMessage", "DeleteMessageBatch"):
        for fault, how in _FAULTS.items():
            plan = PlannedFault(fault, "worker", f"SQS.{operation}", marked=False, **how)
            yield Case(f"SQS {operation}, {fault}, worker", "matrix", add, (plan,), paragraphs=1)

    for number, operation in enumerate(_DOORS["api"]):
        for column, (fault, how) in enumerate(_FAULTS.items()):
            plan = PlannedFault(fault, "api", operation, **how)
            lane = ("standard", "bulk")[(number + column) % 2]
            yield Case(f"{operation}, {fault}, API", "matrix", add, (plan,), lane=lane, paragraphs=2)
    for operation, marked in _DOORS["poller"].items():
        for fault, how in _FAULTS.items():
            plan = PlannedFault(fault, "poller", operation, marked=marked, **how)
            yield Case(f"{operation}, {fault}, drop folder", "matrix", drop, (plan,), paragraphs=2)


_DOORS: dict[str, dict[str, bool]] = {
    "api": {"S3.PutObject": True, "DynamoDB.PutItem": True, "SQS.SendMessage": True},
    "poller": {
        "SQS.ReceiveMessage": False,
        "DynamoDB.PutItem": True,
        "SQS.SendMessage": True,
        "SQS.DeleteMessage": False,
    },
}
"""The requests of the API and the drop-folder handler, and whether each names the document."""


def _in_vain(service: str, fault: str) -> int:
    """The number of batches that may be paid for twice. If answers of the provider are lost, each lost one is such a
    batch. A lease holder that waits for the table longer than its lease is overtaken, and both had batches in
    flight."""
    if service == "Provider" and fault == "reset after the effect":
        return 3
    return 3 if service == "DynamoDB" and fault in {"silence", "slow"} else 0


_WRITES: dict[str, tuple[int, int]] = {
    "S3.PutObject": (0, 2),
    "SQS.SendMessage": (0, 2),
    "DynamoDB.PutItem": (0, 5),
    "DynamoDB.TransactWriteItems": (0, 0),
    "Provider.Embed": (0, 4),
    "S3.DeleteObjects": (0, 0),
    "DynamoDB.DeleteItem": (0, 0),
}


_OF_DELETE = "worker|express|lambda.*"
"""The programs that receive from the delete queue: removals and sweeps."""


def _killed() -> Iterator[Case]:
    for when in ("before", "after"):
        for operation, skip in _WRITES.items():
            for kind, who, lane in (("SIGKILL", "worker", "standard"), ("SIGKILL of the child", "express", "express")):
                yield Case(
                    f"worker, {kind} {when} {operation}",
                    "killed",
                    add,
                    (PlannedFault(f"{kind} {when}", who, operation, skip),),
                    batches=3,
                    lane=lane,
                    turns=(who,),
                    quick=when == "after" and operation in {"SQS.SendMessage", "Provider.Embed"},
                )
            yield Case(
                f"lambda, SIGKILL {when} {operation}",
                "killed",
                add,
                (PlannedFault(f"SIGKILL {when}", "lambda.*", operation, skip),),
                batches=3,
                lane="bulk",
            )
        plan = PlannedFault(f"SIGKILL {when}", "worker", "SQS.DeleteMessageBatch", marked=False)
        yield Case(
            f"worker, SIGKILL {when} SQS.DeleteMessageBatch", "killed", add, (plan,), batches=3, turns=("worker",)
        )
        for operation in ("S3.PutObject", "DynamoDB.PutItem", "SQS.SendMessage"):
            plan = PlannedFault(f"SIGKILL {when}", "api", operation)
            yield Case(
                f"API, SIGKILL {when} {operation}",
                "killed",
                add,
                (plan,),
                batches=3,
                lane="bulk",
                turns=("api",),
                quick=when == "after",
            )
        for name, act, operation, ends in (
            ("a removal", add_and_remove, "DynamoDB.PutItem", Status.DELETED),
            ("a removal", add_and_remove, "SQS.SendMessage", Status.DELETED),
            ("a cancel", add_and_cancel, "DynamoDB.PutItem", Status.CANCELLED),
            ("a retry", add_and_retry, "DynamoDB.PutItem", Status.INDEXED),
            ("a retry", add_and_retry, "SQS.SendMessage", Status.INDEXED),
        ):
            plan = PlannedFault(f"SIGKILL {when}", "api", operation)
            yield Case(
                f"API, SIGKILL {when} {operation} in {name}",
                "killed",
                act,
                (plan,),
                frozenset({ends}),
                batches=3,
                lane="bulk",
                turns=("api",),
            )
        for operation, skip in (("S3.DeleteObject", (0, 0)), ("DynamoDB.PutItem", (0, 2))):
            plan = PlannedFault(f"SIGKILL {when}", _OF_DELETE, operation, skip)
            name = f"SIGKILL {when} {operation} in a removal"
            yield Case(
                name, "killed", add_and_remove, (plan,), frozenset({Status.DELETED}), batches=3, turns=("worker",)
            )
        lost = PlannedFault("503", "api", "SQS.SendMessage", times=(9, 9), least=1)
        sweeper = PlannedFault(f"SIGKILL {when}", _OF_DELETE, "DynamoDB.PutItem")
        name = f"SIGKILL {when} DynamoDB.PutItem in a sweep"
        # If the API were killed meanwhile, the fault of SQS would not be what loses the message.
        yield Case(name, "killed", add, (lost, sweeper), batches=3, lane="bulk", turns=("worker", "api"))
        for operation in ("S3.CopyObject", "DynamoDB.PutItem"):
            plan = PlannedFault(f"SIGKILL {when}", "poller", operation)
            yield Case(f"upload, SIGKILL {when} {operation}", "killed", post, (plan,), batches=3)
        for operation in ("DynamoDB.PutItem", "SQS.SendMessage"):
            plan = PlannedFault(f"SIGKILL {when}", "poller", operation)
            yield Case(
                f"drop folder, SIGKILL {when} {operation}", "killed", drop, (plan,), batches=3, quick=when == "after"
            )
        plan = PlannedFault(f"SIGKILL {when}", "poller", "SQS.DeleteMessage", marked=False)
        yield Case(f"drop folder, SIGKILL {when} SQS.DeleteMessage", "killed", drop, (plan,), batches=3)


def _disorder() -> Iterator[Case]:
    for who, lane in (("worker.*", "standard"), ("lambda.*", "bulk")):
        name = who.removesuffix(".*")
        copies = PlannedFault("copies", f"{who}|api", "SQS.SendMessage", times=(20, 20))
        yield Case(
            f"copies of every message, {name}",
            "disorder",
            add,
            (copies,),
            batches=3,
            lane=lane,
            quick=lane == "standard",
        )
        reordered = PlannedFault("reordered", f"{who}|api", "SQS.SendMessage", times=(20, 20))
        yield Case(f"messages out of order, {name}", "disorder", add, (reordered,), batches=3, lane=lane)
        storm = PlannedFault("throttle", who, "Provider.Embed", times=(30, 30), least=30)
        yield Case(f"a storm of 30 answers 429, {name}", "disorder", add, (storm,), lane=lane, paragraphs=24)
    yield Case("both runtimes on one document", "disorder", both_runtimes, batches=3)
    yield Case("two workers on one document", "disorder", two_workers, batches=3)
    slow = PlannedFault("slow", "worker.*", "Provider.Embed", times=(6, 6))
    refused = PlannedFault("503", "worker.*", "SQS.ChangeMessageVisibility.*", times=(12, 12), marked=False)
    yield Case("visibility ends in mid-task, worker", "disorder", add, (slow, refused), batches=6)
    name = "visibility ends in mid-task, lambda"
    yield Case(name, "disorder", redeliver, lane="express", paragraphs=2, turns=("brief",))
    name = "a container stands still for longer than its lease"
    yield Case(name, "disorder", stall("lambda-express"), batches=3, lane="express", turns=("brief",))
    for fault in ("500", "throttle", "reset after the effect", "garbage"):
        for service, operation in (("S3", "S3.DeleteObjects?"), ("DynamoDB", "DynamoDB.PutItem")):
            plan = PlannedFault(fault, "worker.*|lambda.*", operation, times=(1, 5))
            yield Case(f"{service}, {fault}, in a removal", "disorder", add_and_remove, (plan,), paragraphs=5)


def _races() -> Iterator[Case]:
    for lane in ("standard", "bulk"):
        for operation in RACES:
            for stage in HOLDS:
                who = "lambda" if lane == "bulk" else "worker"
                quick = (lane, operation, stage) in {
                    ("standard", "cancel, retry", "embed"),
                    ("standard", "delete", "publish"),
                }
                yield Case(
                    f"{operation} against {stage}, {who}",
                    "races",
                    race(operation, stage),
                    batches=2,
                    lane=lane,
                    quick=quick,
                )
    for operation in AFTER_DELETE:
        yield Case(f"{operation} against removal", "races", race_removal(operation), ends=_DELETED)


def _clocks() -> Iterator[Case]:
    """The number of batches that may be paid for twice. A program whose clock is slow holds no lease that others
    respect, so its work is done again."""
    lost = PlannedFault("503", "api", "SQS.SendMessage", times=(9, 9), least=1)
    for word in ("ahead", "behind"):
        behind = word == "behind"
        name = f"a clock an hour {word}"
        yield Case(f"{name}, worker", word, with_clock(f"worker-{word}", add), batches=3)
        function = with_clock(f"lambda-express-{word}", contend)
        yield Case(f"{name}, lambda", word, function, lane="express", batches=3 * behind, paragraphs=2)
        yield Case(f"{name}, drop folder", word, with_clock(f"poller-{word}", drop))
        door = f"api-{word}"
        yield Case(f"{name}, API, a replacement", word, with_clock(door, replace_after), lane="bulk", api=door)
        removed = with_clock(door, add_and_remove)
        yield Case(f"{name}, API, a removal", word, removed, ends=_DELETED, lane="bulk", api=door, paragraphs=2)
        swept = sweep_behind if behind else sweep_ahead
        yield Case(f"{name}, the sweep", word, swept, (lost,), lane="bulk", paragraphs=2)
        righted = right_beat(f"beat-{word}")
        yield Case(f"{name} and put right, beat", word, righted, (lost,), lane="bulk", paragraphs=2)
    cancelled = with_clock("api-behind", add_and_cancel)
    ends = frozenset({Status.CANCELLED})
    yield Case("a clock an hour behind, API, a cancel", "behind", cancelled, ends=ends, lane="bulk", api="api-behind")


_DELETED = frozenset({Status.DELETED})
_OUT = PlannedFault("503", "worker.*", "Provider.Embed", times=(1000, 1000), marked=False, least=SILENT_AFTER + 1)
_TOO_MUCH = PlannedFault("throttle", "worker.*", "Provider.Embed", times=(4, 4), least=4)
_APART = (
    Case("an outage, and a circuit that opens", "budget", outage, (_OUT,), turns=ALONE),
    Case("two workers share one budget", "budget", share_budget, paragraphs=48, turns=ALONE),
    Case("4 answers 429 with a budget", "budget", refusals, (_TOO_MUCH,), paragraphs=8, turns=ALONE),
    Case("a worker stands still for longer than its lease", "disorder", stall("worker"), batches=3, turns=ALONE),
    Case("the disk is full", "index", fill_disk, batches=3, turns=ALONE, quick=True),
    Case("locked for 3 s (slow)", "index", lock_index(3)),
    Case("locked for 25 s (silence)", "index", lock_index(25), batches=3),
    Case("a full /tmp, worker", "small", fill_tmp("worker-small", fails_to_read)),
    Case("a full /tmp, lambda", "small", fill_tmp("lambda-express-small", fails_to_read), lane="express"),
    Case("a full /tmp, drop folder", "small", fill_tmp("poller-small", needs_no_room)),
    Case("a full /tmp, API", "small", add_again(fill_tmp("api-small", refuses)), api="api-small"),
    Case("stop and restart of everything, worker", "restart", restart_all, batches=3, turns=ALONE),
    Case("stop and restart of everything, lambda", "restart", restart_all, batches=3, lane="bulk", turns=ALONE),
)

CASES: tuple[Case, ...] = (*_matrix(), *_killed(), *_disorder(), *_races(), *_clocks(), *_APART)


def _selected() -> tuple[Case, ...]:
    """The cases that CI runs. A case that kills takes its turn alone, because the batches in flight of the others are
    counted."""
    quick = [case for case in CASES if case.quick]
    return tuple(replace(case, turns=ALONE) if case.turns or case.group == "killed" else case for case in quick)


SELECTION = Group("selection", (*USUAL, "express")), _selected()
"""The cases that CI runs, on one stack."""
