"""A case: what is done to one document's way, by whom, and how it may end. Running it proves that it was done."""

from __future__ import annotations

import hashlib
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from penstock.domain.ids import DocumentId, derived_id
from penstock.domain.status import Status
from penstock.domain.task import Lane, Message, Stage
from tests.faults.proof import Proven, prove
from tests.faults.proxy import FAULTS, KILLS, Held, Seen, Trap
from tests.faults.stack import TENANT, Stack, until

ALONE = ("alone",)
"""The turns of cases that run when all others of their group have ended."""
INDEXED = frozenset({Status.INDEXED})
_ALL = 1_000_000


@dataclass(frozen=True)
class Plan:
    """A fault, and from which requests on it is done: numbers of which a case takes one by chance."""

    fault: str
    process: str
    operation: str
    skip: tuple[int, int] = (0, 0)
    times: tuple[int, int] = (1, 1)
    marked: bool = True
    """Only requests that name the case's document; of a queue, those that delete and delay messages do not."""
    least: int = 1
    """So often it has to be done, or the case has proven nothing."""


@dataclass(frozen=True)
class Case:
    name: str
    group: str
    act: Callable[[Run], object]
    plans: tuple[Plan, ...] = ()
    ends: frozenset[Status] = INDEXED
    batches: int = 0
    """How many batches may be in flight, and paid for in vain, when work is broken off."""
    lane: str = "standard"
    api: str = "api"
    """Which one its client asks."""
    paragraphs: int = 12
    turns: tuple[str, ...] = ()
    """Cases that have a word in common here run one after the other: in the end nobody else may have killed whom they
    count on."""
    quick: bool = False
    """Runs in CI, too."""

    @property
    def mark(self) -> str:
        """A word that is in what belongs to this case alone: none is the beginning of another's."""
        return re.sub(r"[^a-z0-9]+", "-", f"{self.group} {self.name} case".lower()).strip("-")


@dataclass
class Run:
    """A case under way."""

    case: Case
    stack: Stack
    chance: random.Random
    traps: list[Trap] = field(default_factory=list)
    planned: list[tuple[Plan, Trap]] = field(default_factory=list)
    """Of those, the case's own, which have to be met."""
    texts: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    """What was done beside the faults, in words."""
    document: DocumentId = field(init=False)
    ends: frozenset[Status] = INDEXED
    paid_from: int = 0
    """Of the texts that the provider was sent: those before were paid for by an attempt that was cancelled, which
    leaves nothing behind, its vectors neither."""

    def __post_init__(self) -> None:
        self.mark, self.ends = f"{self.case.mark}-", self.case.ends
        self.document = DocumentId(self.case.mark)

    def text(self) -> str:
        """The next bytes, which have the mark in every chunk."""
        self.texts.append(_text(f"{self.mark}{len(self.texts)}", self.case.paragraphs))
        return self.texts[-1]

    def trap(self, plan: Plan) -> Trap:
        marks = (self.case.mark, self.document) if plan.marked else ()
        skip, times = self.chance.randint(*plan.skip), self.chance.randint(*plan.times)
        trap = Trap(FAULTS[plan.fault], plan.process, plan.operation, marks, skip, times)
        self.traps.append(self.stack.traps.set(trap))
        self.planned.append((plan, trap))
        return trap

    def trap_all(self) -> None:
        """All that the case plans."""
        for plan in self.case.plans:
            self.trap(plan)

    def see(self, process: str, operation: str, word: str = "", *, marked: bool = False) -> tuple[Trap, Seen]:
        """Requests that have this pattern in their body. `marked`: and name the case's document."""
        seen, marks = Seen(), (self.case.mark, self.document) if marked else ()
        trap = Trap(seen.fault, process, operation, marks, times=_ALL, word=word)
        self.traps.append(self.stack.traps.set(trap))
        return trap, seen

    def hold(self, process: str, operation: str, word: str = "", skip: int = 0) -> Held:
        """The next request of this kind that names the document waits. `word`: and has this pattern in its body."""
        held = Held()
        trap = Trap(held.fault, process, operation, (self.case.mark, self.document), skip, 1, word=word)
        self.traps.append(self.stack.traps.set(trap))
        return held

    @property
    def api(self) -> httpx.Client:
        return self.stack.apis[self.case.api]

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """As a client that asks again when it gets no answer: what was not accepted, nobody promised to keep."""

        def ask() -> httpx.Response | None:
            try:
                answer = self.api.request(method, path, **options)
            except httpx.TransportError:
                return None
            return answer if answer.status_code < 500 and answer.status_code != 429 else None

        return until(f"{method} {path} is answered", ask)

    def upload(self) -> None:
        answer = self.offer(self.text())
        assert answer.status_code == 202, answer.text

    def offer(self, text: str) -> httpx.Response:
        return self.call("POST", "/v1/documents", **self.form(text))

    def form(self, text: str) -> dict[str, Any]:
        """What the API is sent of it."""
        return {
            "files": {"files": (f"{self.case.mark}.txt", text.encode())},
            "data": {"document_id": self.document, "lane": self.case.lane},
        }

    def post(self) -> None:
        """Announced to the API, and sent to the bucket."""
        body = self.text().encode()
        about = {"name": f"{self.case.mark}.txt", "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        answer = self.call("POST", "/v1/uploads", json={**about, "document_id": self.document, "lane": self.case.lane})
        assert answer.status_code == 201, answer.text
        self.trap_all()
        told = answer.json()
        posted = httpx.post(told["url"], data=told["fields"], files={"file": ("any", body)}, trust_env=False)
        assert posted.status_code == 204, posted.text

    def drop(self) -> None:
        """Into the drop folder."""
        key = f"drop/{TENANT}/cases/{self.case.mark}.txt"
        self.document = derived_id(TENANT, key)
        self.trap_all()
        bucket = self.stack.made.bucket
        self.stack.clients.s3.put_object(Bucket=bucket, Key=key, Body=self.text().encode(), ContentType="text/plain")

    def send(self, lane: str) -> None:
        """A copy of the document's first message."""
        record = self.stack.services.documents.read(TENANT, self.document)
        assert record is not None
        self.stack.services.queue.send(Message(Stage.EXTRACT, TENANT, record.id, record.generation), Lane(lane))

    def embedding(self) -> bool:
        """Whether the provider was paid for some of it."""
        return any(self.mark in text for text in list(self.stack.provider.texts))

    def proven(self) -> Proven:
        assert len(self.planned) == len(self.case.plans), "all that was planned was set"
        for plan, trap in self.planned:  # some of it is done when the document has ended
            until(
                f"{plan.fault} is done to {plan.operation}: else nothing is proven",
                lambda trap=trap, plan=plan: trap.fired >= plan.least,  # type: ignore[misc]
            )
        return prove(
            self.stack,
            self.document,
            self.mark,
            tuple(self.texts),
            self.ends,
            batches=self.case.batches,
            paid_from=self.paid_from,
        )


def _text(mark: str, paragraphs: int) -> str:
    """No two chunks of it are alike, and each has the mark."""
    return "\n\n".join(
        " ".join(
            f"Line {line} of {mark} is {hashlib.sha256(f'{mark} {number} {line}'.encode()).hexdigest()[:16]}."
            for line in range(4)
        )
        for number in range(paragraphs)
    )


@dataclass(frozen=True)
class Result:
    case: Case
    done: str
    seen: str
    seconds: float
    failed: bool
    killed: int
    """Processes that a supervisor had to start again."""


def run_case(case: Case, stack: Stack, seed: int) -> Result:
    run = Run(case, stack, random.Random(f"{seed} {case.mark}"))
    began = time.monotonic()
    try:
        case.act(run)
        seen, failed = str(run.proven()), False
    except Exception as error:  # noqa: BLE001 - it is told with the case
        seen, failed = f"{type(error).__name__}: {error}", True
    finally:
        for trap in run.traps:
            stack.traps.drop(trap)
    killed = sum(trap.fired for trap in run.traps if trap.fault in KILLS)
    return Result(case, _told(run), seen, time.monotonic() - began, failed, killed)


def _told(run: Run) -> str:
    met: dict[tuple[str, str], int] = {}
    for trap in run.traps:
        for place in trap.met:
            met[trap.fault.name, place] = met.get((trap.fault.name, place), 0) + 1
    told = [f"{fault}: {place}" + (f" ×{times}" if times > 1 else "") for (fault, place), times in met.items()]
    return "; ".join([*told, *run.done])
