"""The number of AWS requests that a document takes, by service and operation, compared with the budget.

    python -m benchmarks.requests [--update] [--idle SECONDS]

Everything runs on an emulator, behind a proxy that counts the requests of all processes. Receiving and deleting of
messages, which Lambda does in AWS, is done by `Bench.consume`. The index and the embedder run in this process, so they
send no requests. The program fails if a count differs from benchmarks/budget.json; --update writes the counts there,
and updates the figures in docs/cost.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from fastapi.testclient import TestClient

from benchmarks import cost_page
from penstock.adapters.aws.clients import Clients, aws_clients
from penstock.api.app import create_app
from penstock.celery_app.lease_renewal import renewing
from penstock.documents.api_keys import create_key
from penstock.domain.ids import TenantId
from penstock.domain.task import Lane, Message, Stage, queue_name
from penstock.lambdas.arrivals import make_handler
from penstock.local.emulator import emulator
from penstock.local.port import free_port
from penstock.local.process import end
from penstock.local.provision import provision
from penstock.operations.cost import Way, requests_of
from penstock.operations.sweep import sweep
from penstock.pipeline.run import Done, run
from penstock.services import Services
from penstock.settings import Settings
from penstock.wiring import now, services
from tests.support.counting_proxy import CountingProxy, counting_proxy
from tests.support.pdf_files import long_pdf

ROOT = Path(__file__).parents[1]
BUDGET = Path(__file__).with_name("budget.json")
TENANT = TenantId("bench")
TOGETHER = 10
"""The number of files that arrive together in the bucket: a full batch of the arrivals queue."""
FEW, MANY = 10, 1_000
"""The numbers of pages of the documents."""
SHARD = 64
"""The number of chunks of a shard. With it a document of a thousand pages has several shards."""
IDLE_HOUR = "an idle hour of a worker on all lanes"
IDLE = 60.0
WARM_UP = 8.0
HOUR = 3600
CHANCE = HOUR / IDLE
"""The difference that one request in that minute makes to the count for an hour."""

Counts = Mapping[str, float]


@dataclass
class Bench:
    """A whole Penstock in this process, over an emulator behind a counting proxy."""

    proxy: CountingProxy
    clients: Clients
    aside: Clients
    """Clients that bypass the proxy, for the requests of callers and of the benchmark itself."""
    settings: Settings
    services: Services
    api: TestClient
    numbers: Iterator[int]

    def by_https(self, pages: int) -> Counts:
        content = self.file(pages)
        self.proxy.reset()
        answer = self.api.post("/v1/documents", files={"files": ("file.pdf", content)})
        (added,) = answer.json()["documents"]
        self.work()
        counts = self.proxy.reset()
        self.check([added["document_id"]])
        return dict(sorted(counts.items()))

    def by_drop(self) -> Counts:
        """The requests per document, for documents that arrive together in the drop folder."""

        def put(number: int) -> None:
            key = f"drop/{TENANT}/bench/{number}.pdf"
            self.aside.s3.put_object(Bucket=self.settings.bucket, Key=key, Body=self.file(FEW))

        return self.arriving(put)

    def by_upload(self) -> Counts:
        """The requests per document, for announced uploads that arrive together."""

        def post(_: int) -> None:
            content = self.file(FEW)
            announced = self.api.post("/v1/uploads", json={"name": "file.pdf", "size": len(content)}).json()
            url = announced["url"].replace(self.proxy.url, self.aside.s3.meta.endpoint_url)
            sent = httpx.post(url, data=announced["fields"], files={"file": ("any", content)}, trust_env=False)
            assert sent.is_success, sent.text

        return self.arriving(post)

    def by_sweep(self) -> Counts:
        self.proxy.reset()
        sweep(self.services)
        return self.proxy.reset()

    def arriving(self, send: Callable[[int], None]) -> Counts:
        self.aside.sqs.purge_queue(QueueUrl=self.settings.arrivals)  # S3 sends a test event when it is set up
        self.proxy.reset()
        for number in range(TOGETHER):
            send(number)
        self.await_events(TOGETHER)
        handler = make_handler(self.services)

        def receive(batch: Sequence[Any]) -> None:
            records = [{"messageId": each["MessageId"], "body": each["Body"]} for each in batch]
            assert handler({"Records": records}, None) == {"batchItemFailures": []}

        self.consume(self.settings.arrivals, TOGETHER, receive)
        self.work()
        counts = self.proxy.reset()
        newest = self.services.documents.newest(TENANT, TOGETHER)
        self.check([document for _, document in newest])
        return {operation: count / TOGETHER for operation, count in sorted(counts.items())}

    def await_events(self, number: int) -> None:
        """Wait until the arrivals queue has the events of this number of files."""
        deadline = time.monotonic() + 20
        while self.waiting(self.settings.arrivals) < number:
            assert time.monotonic() < deadline, "S3's events did not arrive"
            time.sleep(0.05)

    def waiting(self, queue: str) -> int:
        """The number of messages in the queue."""
        wanted: Any = ["ApproximateNumberOfMessages"]
        return int(self.aside.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=wanted)["Attributes"][wanted[0]])

    def work(self) -> None:
        """Run the messages of the stage queues one at a time until the queues are empty."""
        for stage in (Stage.EXTRACT, Stage.EMBED):

            def one(batch: Sequence[Any], stage: Stage = stage) -> None:
                (message,) = batch
                arguments = json.loads(json.loads(message["Body"])["body"])[1]
                outcome = run(self.services, Message.of(stage, arguments), renewing)
                assert isinstance(outcome, Done), outcome

            self.consume(self.settings.queues[queue_name(stage, Lane.STANDARD)], 1, one)

    def consume(self, queue: str, most: int, work: Callable[[Sequence[Any]], None]) -> None:
        """Do what an event source mapping does, as long as there are messages. A receive request that finds none is not
        counted: it belongs to an idle system."""
        sqs = self.clients.sqs
        while self.waiting(queue):
            batch = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=most)["Messages"]
            work(batch)
            done: Any = [{"Id": each["MessageId"], "ReceiptHandle": each["ReceiptHandle"]} for each in batch]
            sqs.delete_message_batch(QueueUrl=queue, Entries=done)

    def check(self, documents: Sequence[str]) -> None:
        """Assert that all of these documents were indexed."""
        for document in documents:
            found = self.api.get(f"/v1/documents/{document}").json()
            assert found["status"] == "indexed", found

    def file(self, pages: int) -> bytes:
        """A PDF whose bytes differ from all others."""
        return long_pdf(pages) + b"%%%d\n" % next(self.numbers)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--update", action="store_true", help="write the counts to budget.json")
    parser.add_argument("--idle", type=float, default=IDLE, help="seconds to watch an idle worker; 0 leaves it out")
    options = parser.parse_args(arguments)
    with bench() as ready:
        counted = documents(ready)
        if options.idle:
            counted[IDLE_HOUR] = idle(ready, options.idle)
    show(counted)
    if options.update:
        BUDGET.write_text(json.dumps(budget() | counted, indent=2) + "\n")
        cost_page.write()
    faults = [*differing(counted), *wrongly_estimated(counted)]
    print(*faults or ["as in the budget"], sep="\n")
    return 1 if faults else 0


def documents(ready: Bench) -> dict[str, Counts]:
    """The requests of documents and of a sweep. They are the same on every run and machine."""
    ready.by_https(1)  # the first call looks up its key and opens connections
    counted = {
        f"https, {FEW} pages": ready.by_https(FEW),
        f"drop folder, {FEW} pages, {TOGETHER} together": ready.by_drop(),
        f"upload, {FEW} pages, {TOGETHER} together": ready.by_upload(),
    }
    many = ready.by_https(MANY)
    counted[f"https, {MANY} pages, {_shards(many)} shards"] = many
    return counted | {"a sweep that finds nothing": ready.by_sweep()}


def budget() -> dict[str, Counts]:
    """The counts in budget.json."""
    return json.loads(BUDGET.read_text())


def differing(counted: Mapping[str, Counts]) -> list[str]:
    """The counts that differ from the budget. A lower count must be written there too, or it could grow again
    unseen."""
    agreed = budget()
    return [
        f"{case}: {operation} {count:g}, the budget has {agreed.get(case, {}).get(operation, 0):g}; --update accepts it"
        for case, counts in counted.items()
        for operation, count in (dict.fromkeys(agreed.get(case, {}), 0.0) | dict(counts)).items()
        if abs(count - agreed.get(case, {}).get(operation, 0)) > (CHANCE if case == IDLE_HOUR else 0)
    ]


def wrongly_estimated(counted: Mapping[str, Counts]) -> list[str]:
    """The counts that `penstock estimate` would give otherwise."""
    lines = []
    for case, counts in counted.items():
        way = next((way for way in Way if case.startswith(way)), None)
        if way is None:
            continue
        expected = requests_of(way, _shards(counts) if "shards" in case else 1)
        if _rounded(counts) != _rounded(expected):
            lines.append(f"{case}: penstock.operations.cost gives {_rounded(expected)}")
    return lines


def _shards(counts: Counts) -> int:
    """The number of shards of a document by HTTPS: every object except the original is a shard."""
    return round(counts["S3.PutObject"]) - 1


def _rounded(counts: Counts) -> Counts:
    return {operation: round(count, 3) for operation, count in counts.items()}


def show(counted: Mapping[str, Counts]) -> None:
    for case, counts in counted.items():
        print(f"\n{case}: {sum(counts.values()):g}")
        for operation, count in counts.items():
            print(f"  {operation:<32}{count:>10g}")
    print()


def idle(ready: Bench, seconds: float) -> Counts:
    """The requests of an hour without documents, extrapolated from a shorter time, by a Celery worker that polls all
    queues."""
    with ExitStack() as running, tempfile.TemporaryFile() as log:
        worker = subprocess.Popen([sys.executable, "-m", "penstock.worker"], stdout=log, stderr=log, cwd=ROOT)
        running.callback(end, worker, 30)
        time.sleep(WARM_UP)
        ready.proxy.reset()
        time.sleep(seconds)
        counts = ready.proxy.reset()
        assert worker.poll() is None, "the worker ended"
    return {operation: round(count * HOUR / seconds, 1) for operation, count in sorted(counts.items())}


@contextmanager
def bench() -> Iterator[Bench]:
    with ExitStack() as parts, tempfile.TemporaryDirectory() as folder:
        parts.callback(_restore, dict(os.environ))
        os.environ.update(
            AWS_ACCESS_KEY_ID="test",
            AWS_SECRET_ACCESS_KEY="test",
            AWS_REGION="us-east-1",
            PENSTOCK_INDEX_PATH=f"{folder}/index",
            PENSTOCK_EMBEDDER="wordllama",
            PENSTOCK_SHARD_CHUNKS=str(SHARD),
        )
        log = Path(folder) / "emulator.log"
        running = parts.enter_context(emulator(ROOT / ".venv-emulator/bin/python", free_port(), log))
        proxy = parts.enter_context(counting_proxy(running.url))
        aside = aws_clients(running.url)
        os.environ.update(provision(aside, ROOT / "template.yaml", "penstock").environment())
        os.environ["AWS_ENDPOINT_URL"] = proxy.url
        settings = Settings.from_environment()
        # Progress is reported every 0.4 s, so how often depends on the machine. With this clock it never is.
        began = now()
        wired = replace(services(settings), clock=lambda: began)
        api = TestClient(create_app(lambda: wired, settings))
        api.headers["Authorization"] = f"Bearer {create_key(wired, TENANT, 'bench')}"
        yield Bench(proxy, aws_clients(proxy.url), aside, settings, wired, api, iter(range(1_000_000)))


def _restore(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
