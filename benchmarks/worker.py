"""How fast a worker is apart from the work itself, compared with other workers.

    python -m benchmarks.worker [--rounds N] [--idle SECONDS]

Each contender empties a queue of an SQS in memory (`benchmarks.sqs_stub`): first of no-ops, then of tasks that take
0.3 s, with two processes. The contenders take turns on one machine, so that their ratios count. They are: Penstock's
worker with its default settings; Celery on SQS with the defaults of both; Celery on a broker in its own memory, which
shows what Celery costs without SQS; and a loop of plain boto3 that receives and deletes ten messages at a time.

Before that, Penstock's worker runs without work, and its requests are counted.

The program fails if Penstock's worker runs less than a tenth of the plain loop's tasks per second, or is busy for less
than 97 % of the time.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BOUND_RATE = 0.10
AIM_RATE = 0.24
BOUND_BUSY = 0.97
AIM_BUSY = 0.99

CONCURRENCY = 2
NAP = 0.3
NAPS = 60
QUEUE = "extract-standard"
PATIENCE = 60.0
"""The time that a contender has, in seconds. What it has done by then counts."""
PLAIN = "a loop of plain boto3, tens at a time"
PENSTOCK = "Penstock's worker"
STOCK = "Celery on SQS, defaults"
MEMORY = "Celery on a broker in memory"

AWS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass(frozen=True)
class Contender:
    noops: int
    """The number of no-ops that the contender gets: enough for some seconds."""
    naps: bool = True


CONTENDERS = {
    PLAIN: Contender(20_000, naps=False),
    PENSTOCK: Contender(6_000),
    MEMORY: Contender(6_000),
    STOCK: Contender(300),
}


@dataclass(frozen=True)
class Result:
    done: int
    seconds: float
    """The time from the first message that was received to the last one that was deleted, in seconds."""

    @property
    def rate(self) -> float:
        return self.done / self.seconds


# The programs of the contenders' processes


def run_plain(url: str, count: int) -> None:
    sqs = _client(url)
    queue = f"{url}/{QUEUE}"
    while count:
        messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        if messages:
            entries = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(messages)]
            sqs.delete_message_batch(QueueUrl=queue, Entries=entries)
            count -= len(messages)


def run_penstock(url: str) -> None:
    from penstock.celery_app.app import make_app
    from penstock.celery_app.options import WorkerOptions
    from penstock.domain.task import QUEUES, Stage
    from penstock.pipeline.run import Done
    from penstock.settings import Settings
    from penstock.worker.process import start

    def run(services: object, message: Any, keep: object) -> Done:  # noqa: ARG001
        _work(message.document)
        return Done()

    settings = Settings(
        queues={name: f"{url}/{name}" for name in QUEUES},
        dead_letters={stage: f"{url}/{stage}-dead" for stage in Stage},
        worker_concurrency=CONCURRENCY,
    )
    start(make_app(settings, lambda: None, WorkerOptions(), run=run), list(QUEUES), stop=5)  # type: ignore[arg-type, return-value]


def stock_app(url: str) -> Any:
    from celery import Celery

    app = Celery("stock", broker="sqs://", set_as_current=False)
    app.conf.task_default_queue = QUEUE
    app.conf.broker_transport_options = {"predefined_queues": {QUEUE: {"url": f"{url}/{QUEUE}"}}}
    app.task(name="work", shared=False)(_work)
    return app


def run_stock(url: str) -> None:
    worker = stock_app(url).Worker(concurrency=CONCURRENCY, quiet=True, loglevel="ERROR", without_gossip=True)
    worker.start()


def run_memory(count: int, kind: str) -> None:
    """Run Celery on a broker in memory. It reports its result itself, because no other process sees its broker."""
    from threading import Thread

    from celery import Celery

    app = Celery("memory", broker="memory://", set_as_current=False)
    done = multiprocessing.Value("i", 0)
    first = multiprocessing.Value("d", 0.0)

    def work(what: str) -> None:
        with first.get_lock():
            first.value = first.value or time.monotonic()
        _work(what)
        with done.get_lock():
            done.value += 1

    task = app.task(name="work", shared=False)(work)
    for _ in range(count):
        task.delay(kind)
    worker = app.Worker(concurrency=CONCURRENCY, quiet=True, loglevel="ERROR", without_gossip=True)

    def watch() -> None:
        while done.value < count:
            time.sleep(0.002)
        print(json.dumps({"done": count, "seconds": time.monotonic() - first.value}), file=sys.__stdout__, flush=True)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    Thread(target=watch, daemon=True).start()
    worker.start()


def _work(what: str) -> None:
    if what.startswith("nap"):
        began = time.monotonic()
        time.sleep(NAP)
        with Path(os.environ["NAPS"]).open("a") as journal:
            journal.write(f"{began} {time.monotonic()}\n")


# The comparison


def _client(url: str) -> Any:
    import boto3

    return boto3.client("sqs", endpoint_url=url)


@contextmanager
def _program(*arguments: str, env: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, **AWS, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout
        process.stdout.close()


def busy(name: str) -> float:
    """The share of the processes' time that they nap, from the start of the first nap to the end of the last."""
    with tempfile.NamedTemporaryFile() as journal:
        os.environ["NAPS"] = journal.name
        measure(name, NAPS, "nap")
        naps = [tuple(map(float, line.split())) for line in Path(journal.name).read_text().splitlines()]
    slept = sum(end - began for began, end in naps)
    return slept / (CONCURRENCY * (max(end for _, end in naps) - min(began for began, _ in naps)))


def measure(name: str, count: int, kind: str) -> Result:
    """Measure one contender with a stub of its own, whose queue holds `count` tasks of this kind."""
    if name == MEMORY:
        with _program("-m", "benchmarks.worker", "memory", str(count), kind, env={}) as process:
            assert process.stdout
            return Result(**json.loads(process.stdout.readline()))
    with _program("-m", "benchmarks.sqs_stub", env={}) as stub:
        assert stub.stdout
        url = json.loads(stub.stdout.readline())
        FILL[name](url, count, kind)
        role = {PLAIN: "plain", PENSTOCK: "penstock", STOCK: "stock"}[name]
        with _program("-m", "benchmarks.worker", role, url, str(count), env={"AWS_ENDPOINT_URL": url}):
            end = time.monotonic() + PATIENCE
            while (stats := _stats(url))["deleted"] < count and time.monotonic() < end:
                time.sleep(0.1)
        return Result(stats["deleted"], stats["seconds"])


def idle(seconds: float) -> None:
    """Print the requests of a worker that has no work."""
    with _program("-m", "benchmarks.sqs_stub", env={}) as stub:
        assert stub.stdout
        url = json.loads(stub.stdout.readline())
        with _program("-m", "benchmarks.worker", "penstock", url, "0", env={"AWS_ENDPOINT_URL": url}):
            end = time.monotonic() + PATIENCE
            while not _stats(url)["asked"] and time.monotonic() < end:
                time.sleep(0.1)
            before = _stats(url)
            time.sleep(seconds)
            asked = _stats(url)["asked"] - before["asked"]
    per_hour = asked * 3600 / seconds / before["queues"]
    print(f"Idle for {seconds:g} s: {asked} requests to {before['queues']} queues: {per_hour:.0f} an hour and queue\n")


def _stats(url: str) -> dict[str, Any]:
    from http.client import HTTPConnection

    connection = HTTPConnection(url.removeprefix("http://"))
    body = json.dumps({"QueueUrl": f"{url}/{QUEUE}"})
    connection.request("POST", "/", body, {"X-Amz-Target": "AmazonSQS.Stub.Stats"})
    stats: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return stats


def fill_as_penstock(url: str, count: int, kind: str) -> None:
    from penstock.adapters.aws.queue import SqsTaskQueue
    from penstock.domain.task import Lane, Message, Stage

    caught: list[str] = []

    class Caught:
        def send_message(self, *, MessageBody: str, **_: object) -> None:  # noqa: N803
            caught.append(MessageBody)

    queue = SqsTaskQueue(Caught(), {QUEUE: QUEUE}, {})  # type: ignore[arg-type]
    for number in range(count):
        queue.send(Message(Stage.EXTRACT, "acme", f"{kind}-{number}", 1), Lane.STANDARD)
    sqs = _client(url)
    for start in range(0, count, 10):
        entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(caught[start : start + 10])]
        sqs.send_message_batch(QueueUrl=f"{url}/{QUEUE}", Entries=entries)


def fill_as_celery(url: str, count: int, kind: str) -> None:
    os.environ["AWS_ENDPOINT_URL"] = url
    app = stock_app(url)
    with app.producer_or_acquire() as producer:
        for _ in range(count):
            app.send_task("work", (kind,), producer=producer)


FILL: Mapping[str, Callable[[str, int, str], None]] = {
    PLAIN: fill_as_penstock,
    PENSTOCK: fill_as_penstock,
    STOCK: fill_as_celery,
}


def race(rounds: int) -> int:
    rates: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    shares: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(rounds):
        for name, contender in CONTENDERS.items():
            rates[name].append(measure(name, contender.noops, "noop").rate)
            if contender.naps:
                shares[name].append(busy(name))
    rate = {name: statistics.median(found) for name, found in rates.items()}
    print(f"{rounds} rounds, medians; {CONCURRENCY} processes\n")
    print(f"| {'':<40} | no-ops/s | of the loop | busy on {NAP} s tasks |")
    print("|---|---|---|---|")
    for name, found in rate.items():
        share = f"{statistics.median(shares[name]):.1%}" if shares[name] else ""
        print(f"| {name:<40} | {found:,.0f} | {found / rate[PLAIN]:.1%} | {share} |")
    ratio, share = rate[PENSTOCK] / rate[PLAIN], statistics.median(shares[PENSTOCK])
    print(f"\nPenstock's worker: {ratio:.1%} of the plain loop (bound {BOUND_RATE:.0%}, aim {AIM_RATE:.0%}); ", end="")
    print(f"busy {share:.1%} (bound {BOUND_BUSY:.0%}, aim {AIM_BUSY:.0%})")
    if ratio >= BOUND_RATE and share >= BOUND_BUSY:
        return 0
    print("BELOW THE BOUND", file=sys.stderr)
    return 1


def main() -> int:
    match sys.argv[1:]:
        case ["plain", url, count]:
            run_plain(url, int(count))
        case ["penstock", url, _]:
            run_penstock(url)
        case ["stock", url, _]:
            run_stock(url)
        case ["memory", count, kind]:
            run_memory(int(count), kind)
        case _:
            parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
            parser.add_argument("--rounds", type=int, default=3)
            parser.add_argument("--idle", type=float, default=61, help="seconds, of long polls of 20; 0 leaves it out")
            given = parser.parse_args()
            os.environ.update(AWS)
            if given.idle:
                idle(given.idle)
            return race(given.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
