"""The whole template on the emulator, for tests: its doors, what its functions were seen to call, and what may happen
to it."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from typing import Any
from urllib.parse import urlsplit

import boto3
import httpx

from penstock.adapters.aws.items import RECORD
from penstock.domain.document import Document
from penstock.domain.ids import DocumentId
from penstock.domain.status import Status
from penstock.domain.task import Lane
from penstock.records.compare_and_set import update_record
from penstock.services import Services
from penstock.settings import Settings
from penstock.wiring import services
from tests.e2e.limits import ENVIRONMENT
from tests.e2e.stack import ROOT, Stack, alive, descendants, until
from tests.support.counting_proxy import Request, Sender, Watcher, counting_proxy
from tests.support.iam_rights import Right, rights
from tests.support.paths import TEMPLATE
from tests.support.resolved_template import Template
from tools.lambda_lab.deploy import TENANT, deployed

PYTHON = ROOT / ".venv-emulator-deploy/bin/python"
STATE = ROOT / ".penstock/deploy-test"
SUMMARY = STATE / "summary"
"""What `make deploy-local-test` says at its end."""
FEW = {f"{lane.capitalize()}Concurrency": "2" for lane in Lane}
"""Each function that starts takes a core for seconds."""
PLAN = Template(Index="sqlite", Embedder="wordllama")


def aws(service: str) -> Any:
    """A client of one who may do everything."""
    return boto3.client(service, region_name="us-east-1")  # type: ignore[call-overload]  # the stubs know literal names


@dataclass
class Recorder(Watcher):
    """Of one function: which rights its calls needed, and those that a link or a form of its needed in other hands."""

    queues: Mapping[str, str]
    calls: Counter[str] = field(default_factory=Counter)
    needed: set[Right] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    _held: list[tuple[Callable[[Request], bool], Event, Event]] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def before_forwarding(self, request: Request, sender: Sender) -> None:
        for fits, reached, release in list(self._held):
            if fits(request):
                reached.set()
                release.wait(60)

    def before_answering(self, request: Request, status: int) -> None:
        own = "authorization" in request.headers
        if not own and status >= 400:
            return  # it is not the function's doing that somebody else had no leave
        with self._lock:
            self.calls[request.operation] += 1
            try:
                self.needed.update(rights(request, status, self.queues))
            except NotImplementedError:
                self.unknown.add(request.operation)

    @contextmanager
    def held(self, operation: str, area: str) -> Iterator[Event]:
        """Calls of this kind wait until the context ends; the event is set once one has come."""
        reached, release = Event(), Event()
        hold = (lambda request: request.operation == operation and request.key.startswith(area), reached, release)
        self._held.append(hold)
        try:
            yield reached
        finally:
            self._held.remove(hold)
            release.set()


@dataclass
class Deployment(Stack):
    """A stack whose functions are Lambda's, as the emulator runs them."""

    outputs: Mapping[str, str]
    services: Services
    """Of an operator, who may do everything."""
    recorders: Mapping[str, Recorder]
    """By the logical name of the function."""
    removed: str = ""
    """What there was, once it is removed."""

    @contextmanager
    def paused(self, *queues: str) -> Iterator[None]:
        """Nothing consumes these queues (by the ends of their names) for as long as the context lasts."""
        client = aws("lambda")
        mappings = {
            each["EventSourceArn"].rsplit(":", 1)[-1].partition("-")[2]: each["UUID"]
            for each in client.list_event_source_mappings()["EventSourceMappings"]
        }
        for queue in queues:
            client.update_event_source_mapping(UUID=mappings[queue], Enabled=False)
        try:
            yield
        finally:
            for queue in queues:
                client.update_event_source_mapping(UUID=mappings[queue], Enabled=True)

    def queue(self, name: str) -> str:
        """Its URL, by the end of its name."""
        return aws("sqs").get_queue_url(QueueName=f"penstock-{name}")["QueueUrl"]

    def linked(self, url: str) -> httpx.Response:
        """The emulator speaks no TLS and has the API under a path of its own."""
        return self.client.get(urlsplit(url).path)

    def waiting(self, queue: str, how: str = "") -> int:
        """Messages that it holds; `how`: Delayed, NotVisible."""
        name = f"ApproximateNumberOfMessages{how}"
        answer = aws("sqs").get_queue_attributes(QueueUrl=self.queue(queue), AttributeNames=[name])
        return int(answer["Attributes"][name])

    def send(self, queue: str, *bodies: str) -> None:
        for body in bodies:
            aws("sqs").send_message(QueueUrl=self.queue(queue), MessageBody=body)

    def take(self, queue: str, number: int) -> list[str]:
        """So many messages out of a queue that is paused."""
        sqs, url, bodies = aws("sqs"), self.queue(queue), []

        def taken() -> bool | None:
            for each in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
                bodies.append(each["Body"])
                sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
            return True if len(bodies) >= number else None

        until(taken, seconds=30, what=f"{number} messages are in {queue}")
        assert len(bodies) == number, bodies
        return bodies

    def look(self, queue: str, number: int) -> list[str]:
        """So many messages of a queue that is paused, which keeps them."""
        bodies = self.take(queue, number)
        self.send(queue, *bodies)
        return bodies

    def record(self, document: str) -> Document:
        found = self.services.documents.read(TENANT, DocumentId(document))
        assert found is not None
        return found

    def reaches(self, document: str, status: Status, *, seconds: float = 60) -> None:
        """Waits until the document stands so."""

        def reached() -> bool | None:
            found = self.services.documents.read(TENANT, DocumentId(document))
            return True if found is not None and found.status is status else None

        until(reached, seconds=seconds, what=f"{document} is {status}")

    def documents(self) -> int:
        """How many the table knows, tombstones too."""
        pages = aws("dynamodb").get_paginator("scan").paginate(TableName=self.environment["PENSTOCK_TABLE"])
        return sum(item["sk"]["S"] == RECORD for page in pages for item in page["Items"])

    def change(self, document: str, decide: Callable[[Document], Document]) -> None:
        """By hand, where a test cannot wait for time to pass."""
        update_record(self.services, TENANT, DocumentId(document), lambda found: decide(found) if found else None)

    def invoke(self, function: str, event: Mapping[str, Any]) -> dict[str, Any]:
        """What the function answers when it is called directly, as a schedule does."""
        name = f"penstock-{function}"
        answer = aws("lambda").invoke(FunctionName=name, Payload=json.dumps(event).encode())
        answered: dict[str, Any] = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, answered
        return answered


@contextmanager
def deployment(state: Path) -> Iterator[Deployment]:
    """The template, deployed; each function sees AWS through a meter of its own.

    The packages and the emulator's log are kept in STATE, since the layers take a minute to make.
    """
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("PENSTOCK_", "AWS_", "OPENAI_"))]:
        del os.environ[name]
    queues = {
        each["QueueName"].replace("stack-", "penstock-"): name for name, each in PLAN.of("AWS::SQS::Queue").items()
    }
    recorders = {name: Recorder(queues) for name in PLAN.of("AWS::Serverless::Function")}
    state.mkdir(parents=True)
    SUMMARY.unlink(missing_ok=True)
    try:
        with ExitStack() as parts:

            def told(function: str, emulator: str) -> dict[str, str]:
                meter = parts.enter_context(counting_proxy(emulator, recorders[function]))
                return {**ENVIRONMENT, "AWS_ENDPOINT_URL": meter.url}

            there = parts.enter_context(deployed(TEMPLATE, STATE, PYTHON, parameters=FEW, environment=told))
            environment = {
                **{name: os.environ[name] for name in os.environ if name.startswith("AWS_")},
                "PENSTOCK_BUCKET": there.outputs["Bucket"],
                "PENSTOCK_TABLE": there.outputs["Table"],
                "PENSTOCK_ARRIVALS": there.outputs["Arrivals"],
                "PENSTOCK_QUEUES": there.outputs["Queues"],
                "PENSTOCK_DEAD_LETTERS": there.outputs["DeadLetters"],
                "PENSTOCK_INDEX_PATH": str((STATE / "index").absolute()),
                "PENSTOCK_EMBEDDER": "wordllama",
            }
            os.environ.update(environment)
            client = parts.enter_context(
                httpx.Client(
                    base_url=there.url, headers={"Authorization": f"Bearer {there.key}"}, timeout=60, trust_env=False
                )
            )
            stack = Deployment(state, client, environment, there.outputs, services(Settings()), recorders)
            yield stack
            processes = descendants(os.getpid())
        # Those of the functions end by themselves, once the emulator has.
        gone = lambda: not any(map(alive, processes)) or None  # noqa: E731
        until(gone, seconds=30, what=f"all {len(processes)} processes have ended")
        if stack.removed:
            SUMMARY.write_text(f"{stack.removed}; of {len(processes)} processes 0 left\n")
    finally:
        os.environ.clear()
        os.environ.update(before)
