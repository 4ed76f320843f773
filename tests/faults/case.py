"""A case: an act on one document, the faults that its requests meet, and the outcomes that are allowed. Running a case
proves that its faults were done."""

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
"""The turns of cases that run after all others of their group."""
INDEXED = frozenset({Status.INDEXED})
_ALL = 1_000_000


@dataclass(frozen=True)
class PlannedFault:
    """A fault that a case plans, and which of the matching requests it is done to: numbers within ranges are chosen at
    random."""

    fault: str
    process: str
    operation: str
    skip: tuple[int, int] = (0, 0)
    times: tuple[int, int] = (1, 1)
    marked: bool = True
    """Whether only requests that name the case's document count. The requests that delete or delay a message do not
    name it."""
    least: int = 1
    """The minimum number of times that the fault must be done. With fewer the case has proven nothing."""


@dataclass(frozen=True)
class Case:
    name: str
    group: str
    act: Callable[[Run], object]
    plans: tuple[PlannedFault, ...] = ()
    ends: frozenset[Status] = INDEXED
    batches: int = 0
    """The number of batches that may be in flight, and so be paid for twice, when work is interrupted."""
    lane: str = "standard"
    api: str = "api"
    """The name of the API that the client uses."""
    paragraphs: int = 12
    turns: tuple[str, ...] = ()
    """Cases that share a word here run one after the other, so that no other case kills a process that they depend
    on."""
    quick: bool = False
    """Whether the case runs in CI too."""

    @property
    def mark(self) -> str:
        """A word that only the requests of this case contain. No mark is the beginning of another."""
        return re.sub(r"[^a-z0-9]+", "-", f"{self.group} {self.name} case".lower()).strip("-")


@dataclass
class Run:
    """A case that is running."""

    case: Case
    stack: Stack
    chance: random.Random
    traps: list[Trap] = field(default_factory=list)
    planned: list[tuple[PlannedFault, Trap]] = field(default_factory=list)
    """The traps of the faults that the case plans. Each fault must be done."""
    texts: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    """What was done apart from the faults, in words."""
    document: DocumentId = field(init=False)
    ends: frozenset[Status] = INDEXED
    paid_from: int = 0
    """The number of texts that the provider got before they count. An attempt that was cancelled paid for those before,
    and leaves nothing behind, not even its vectors."""

    def __post_init__(self) -> None:
        self.mark, self.ends = f"{self.case.mark}-", self.case.ends
        self.document = DocumentId(self.case.mark)

    def text(self) -> str:
        """The text of the next upload, with the mark in every chunk."""
        self.texts.append(_text(f"{self.mark}{len(self.texts)}", self.case.paragraphs))
        return self.texts[-1]

    def trap(self, plan: PlannedFault) -> Trap:
        marks = (self.case.mark, self.document) if plan.marked else ()
        skip, times = self.chance.randint(*plan.skip), self.chance.randint(*plan.times)
        trap = Trap(FAULTS[plan.fault], plan.process, plan.operation, marks, skip, times)
        self.traps.append(self.stack.traps.set(trap))
        self.planned.append((plan, trap))
        return trap

    def trap_all(self) -> None:
        """Set the traps of all faults that the case plans."""
        for plan in self.case.plans:
            self.trap(plan)

    def see(self, process: str, operation: str, word: str = "", *, marked: bool = False) -> tuple[Trap, Seen]:
        """Watch the requests that have this pattern in their body. With `marked` they must also name the case's
        document."""
        seen, marks = Seen(), (self.case.mark, self.document) if marked else ()
        trap = Trap(seen.fault, process, operation, marks, times=_ALL, word=word)
        self.traps.append(self.stack.traps.set(trap))
        return trap, seen

    def hold(self, process: str, operation: str, word: str = "", skip: int = 0) -> Held:
        """Hold the next request of this kind that names the document. `word` is a pattern that its body must also
        have."""
        held = Held()
        trap = Trap(held.fault, process, operation, (self.case.mark, self.document), skip, 1, word=word)
        self.traps.append(self.stack.traps.set(trap))
        return held

    @property
    def api(self) -> httpx.Client:
        return self.stack.apis[self.case.api]

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request, and repeat it until there is an answer: what was not accepted, nobody promised to keep."""

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
        """The form of an upload."""
        return {
            "files": {"files": (f"{self.case.mark}.txt", text.encode())},
            "data": {"document_id": self.document, "lane": self.case.lane},
        }

    def post(self) -> None:
        """Announce the upload to the API, and post the file to the bucket."""
        body = self.text().encode()
        about = {"name": f"{self.case.mark}.txt", "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        answer = self.call("POST", "/v1/uploads", json={**about, "document_id": self.document, "lane": self.case.lane})
        assert answer.status_code == 201, answer.text
        self.trap_all()
        announced = answer.json()
        posted = httpx.post(announced["url"], data=announced["fields"], files={"file": ("any", body)}, trust_env=False)
        assert posted.status_code == 204, posted.text

    def drop(self) -> None:
        """Put the file into the drop folder."""
        key = f"drop/{TENANT}/cases/{self.case.mark}.txt"
        self.document = derived_id(TENANT, key)
        self.trap_all()
        bucket = self.stack.made.bucket
        self.stack.clients.s3.put_object(Bucket=bucket, Key=key, Body=self.text().encode(), ContentType="text/plain")

    def send(self, lane: str) -> None:
        """Send a copy of the document's first message."""
        record = self.stack.services.documents.read(TENANT, self.document)
        assert record is not None
        self.stack.services.queue.send(Message(Stage.EXTRACT, TENANT, record.id, record.generation), Lane(lane))

    def embedding(self) -> bool:
        """Whether the provider has embedded some of the document."""
        return any(self.mark in text for text in list(self.stack.provider.texts))

    def proven(self) -> Proven:
        assert len(self.planned) == len(self.case.plans), "all that was planned was set"
        for plan, trap in self.planned:  # some faults are done after the document has ended
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
    """A text whose chunks all differ, and all contain the mark."""
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
    """The number of processes that the supervisor had to start again."""


def run_case(case: Case, stack: Stack, seed: int) -> Result:
    run = Run(case, stack, random.Random(f"{seed} {case.mark}"))
    began = time.monotonic()
    try:
        case.act(run)
        seen, failed = str(run.proven()), False
    except Exception as error:  # noqa: BLE001 - it is reported with the case
        seen, failed = f"{type(error).__name__}: {error}", True
    finally:
        for trap in run.traps:
            stack.traps.drop(trap)
    killed = sum(trap.fired for trap in run.traps if trap.fault in KILLS)
    return Result(case, _summary(run), seen, time.monotonic() - began, failed, killed)


def _summary(run: Run) -> str:
    met: dict[tuple[str, str], int] = {}
    for trap in run.traps:
        for place in trap.met:
            met[trap.fault.name, place] = met.get((trap.fault.name, place), 0) + 1
    faults = [f"{fault}: {place}" + (f" ×{times}" if times > 1 else "") for (fault, place), times in met.items()]
    return "; ".join([*faults, *run.done])
