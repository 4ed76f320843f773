"""The whole template on the emulator, for tests: its doors, the calls that its functions make, and what may happen to
it."""

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
from tests.e2e.stack import ROOT, Stack, descendants, until
from tests.support.counting_proxy import Request, Sender, Watcher, counting_proxy
from tests.support.iam_rights import Right, rights
from tests.support.paths import TEMPLATE
from tests.support.processes import is_alive
from tests.support.resolved_template import Template
from tools.lambda_lab.deploy import TENANT, deployed

PYTHON = ROOT / ".venv-emulator-deploy/bin/python"
STATE = ROOT / ".penstock/deploy-test"
SUMMARY = STATE / "summary"
"""The file that `make deploy-local-test` prints at its end."""
FEW = {f"{lane.capitalize()}Concurrency": "2" for lane in Lane}
"""Parameters that limit concurrency, because each function that starts takes a core for seconds."""
PLAN = Template(Index="sqlite", Embedder="wordllama")


def aws(service: str) -> Any:
    """A client that may do everything."""
    return boto3.client(service, region_name="us-east-1")  # type: ignore[call-overload]  # the stubs know literal names


@dataclass
class Recorder(Watcher):
    """Records the rights that the calls of one function needed, and the rights that its links and forms needed when
    others used them."""

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
            return  # a call that was refused to somebody else needs no right of the function
        with self._lock:
            self.calls[request.operation] += 1
            try:
                self.needed.update(rights(request, status, self.queues))
            except NotImplementedError:
                self.unknown.add(request.operation)

    @contextmanager
    def held(self, operation: str, area: str) -> Iterator[Event]:
        """Hold calls of this kind until the end of the context. The event is set when the first has arrived."""
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
    """A stack whose functions run as Lambda functions on the emulator."""

    outputs: Mapping[str, str]
    services: Services
    """The services of an operator, who may do everything."""
    recorders: Mapping[str, Recorder]
    """The recorder of each function, by its logical name."""
    removed: str = ""
    """What was left when the stack was deleted. It is empty until then."""

    @contextmanager
    def paused(self, *queues: str) -> Iterator[None]:
        """Pause all consumers of these queues until the end of the context. A queue is named by the end of its name."""
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
        """The URL of the queue, by the end of its name."""
        return aws("sqs").get_queue_url(QueueName=f"penstock-{name}")["QueueUrl"]

    def linked(self, url: str) -> httpx.Response:
        """Follow a link. The emulator does not speak TLS, and has the API under a path."""
        return self.client.get(urlsplit(url).path)

    def waiting(self, queue: str, how: str = "") -> int:
        """The number of messages in the queue. With `how` only those that are Delayed or NotVisible."""
        name = f"ApproximateNumberOfMessages{how}"
        answer = aws("sqs").get_queue_attributes(QueueUrl=self.queue(queue), AttributeNames=[name])
        return int(answer["Attributes"][name])

    def send(self, queue: str, *bodies: str) -> None:
        for body in bodies:
            aws("sqs").send_message(QueueUrl=self.queue(queue), MessageBody=body)

    def take(self, queue: str, number: int) -> list[str]:
        """Receive and delete this number of messages of a paused queue."""
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
        """The bodies of this number of messages of a paused queue, which keeps them."""
        bodies = self.take(queue, number)
        self.send(queue, *bodies)
        return bodies

    def record(self, document: str) -> Document:
        found = self.services.documents.read(TENANT, DocumentId(document))
        assert found is not None
        return found

    def reaches(self, document: str, status: Status, *, seconds: float = 60) -> None:
        """Wait until the document has this status."""

        def reached() -> bool | None:
            found = self.services.documents.read(TENANT, DocumentId(document))
            return True if found is not None and found.status is status else None

        until(reached, seconds=seconds, what=f"{document} is {status}")

    def documents(self) -> int:
        """The number of documents in the table, tombstones included."""
        pages = aws("dynamodb").get_paginator("scan").paginate(TableName=self.environment["PENSTOCK_TABLE"])
        return sum(item["sk"]["S"] == RECORD for page in pages for item in page["Items"])

    def change(self, document: str, decide: Callable[[Document], Document]) -> None:
        """Change the record by hand, where a test cannot wait for time to pass."""
        update_record(self.services, TENANT, DocumentId(document), lambda found: decide(found) if found else None)

    def invoke(self, function: str, event: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of the function when it is called directly, as a schedule does."""
        name = f"penstock-{function}"
        answer = aws("lambda").invoke(FunctionName=name, Payload=json.dumps(event).encode())
        answered: dict[str, Any] = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, answered
        return answered


@contextmanager
def deployment(state: Path) -> Iterator[Deployment]:
    """Deploy the template, with a proxy of its own between each function and AWS.

    The packages and the emulator's log are kept in STATE, because building the layers takes a minute.
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

            def function_environment(function: str, emulator: str) -> dict[str, str]:
                proxy = parts.enter_context(counting_proxy(emulator, recorders[function]))
                return {**ENVIRONMENT, "AWS_ENDPOINT_URL": proxy.url}

            there = parts.enter_context(
                deployed(TEMPLATE, STATE, PYTHON, parameters=FEW, environment=function_environment)
            )
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
            stack = Deployment(
                state, client, environment, there.outputs, services(Settings.from_environment()), recorders
            )
            yield stack
            processes = descendants(os.getpid())
        # Those of the functions end by themselves, once the emulator has.
        gone = lambda: not any(map(is_alive, processes)) or None  # noqa: E731
        until(gone, seconds=30, what=f"all {len(processes)} processes have ended")
        if stack.removed:
            SUMMARY.write_text(f"{stack.removed}; of {len(processes)} processes 0 left\n")
    finally:
        os.environ.clear()
        os.environ.update(before)
