"""How long each Lambda handler takes to be ready for its first event, and how much memory it then has, beside what it
is bound to be.

    python -m benchmarks.cold [--rounds N] [HANDLER…]

Ready means: imported, and all made that its first event makes, clients and services included; nothing connects. Each
is made so in a process of its own, one after the other in turns; what counts is the least of its processor times, as
whatever else the machine does can only add to it. Fails where one is above its bound.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

BOUND = 1.2

_CLIENTS = """
import boto3
session = boto3.Session(region_name='us-east-1')
clients = [session.client(service) for service in ('s3', 'dynamodb', 'sqs')]
"""
_FIRST_EXAMPLE = """
import fastapi, mangum
app = fastapi.FastAPI()
@app.get("/items/{item_id}")
def read_item(item_id: int, q: str | None = None):
    return {"item_id": item_id, "q": q}
handler = mangum.Mangum(app, lifespan="off")
"""
"""The one of FastAPI's README: with no route at all, half of what FastAPI needs would not be imported."""
_BARE = {
    "bare FastAPI + Mangum": _FIRST_EXAMPLE,
    "bare Celery": "import celery, kombu.transport.SQS; app = celery.Celery('bare')",
    "bare boto3": "",
}
"""What a handler is measured by. Each has the same three clients of boto3."""


@dataclass(frozen=True)
class Handler:
    ready: str
    """The program that makes it ready."""
    beside: str


HANDLERS = {
    "api": Handler(
        "from penstock.lambdas.api import gateway; gateway().app.state.services()", beside="bare FastAPI + Mangum"
    ),
    "stages": Handler("from penstock.lambdas.stages import consumer; consumer()", beside="bare Celery"),
    "dead_letters": Handler(
        "from penstock.lambdas.dead_letters import dead_letters; dead_letters()", beside="bare boto3"
    ),
    "arrivals": Handler("from penstock.lambdas.arrivals import arrivals; arrivals()", beside="bare boto3"),
    "sweep": Handler("from penstock.lambdas.sweep import sweeper; sweeper()", beside="bare boto3"),
}

_QUEUE = "http://127.0.0.1:9/queue"
ENVIRONMENT = {
    "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "PENSTOCK_BUCKET": "bucket",
    "PENSTOCK_TABLE": "table",
    "PENSTOCK_QUEUES": json.dumps({"extract-standard": _QUEUE, "embed-standard": _QUEUE, "delete": _QUEUE}),
    "PENSTOCK_DEAD_LETTERS": json.dumps({"extract": _QUEUE, "embed": _QUEUE, "delete": _QUEUE}),
    "PENSTOCK_EMBEDDER": "openai",
    "PENSTOCK_PROVIDER_KEY": "/penstock/provider-key",
}
"""What the template tells a function, as far as it must be told something."""

_CHILD = """
import resource, sys, time
began = time.process_time()
exec(sys.argv[1])
taken = time.process_time() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(taken * 1000, peak / 1024)
"""


@dataclass(frozen=True)
class Start:
    milliseconds: float
    megabytes: float


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("handlers", nargs="*", help=f"of {', '.join(HANDLERS)}; all, where none is named")
    asked = parser.parse_args(arguments)
    chosen = {name: HANDLERS[name] for name in asked.handlers or HANDLERS}
    programs = {each.beside: _BARE[each.beside] + _CLIENTS for each in chosen.values()}
    programs |= {name: each.ready for name, each in chosen.items()}
    seen: dict[str, list[Start]] = {name: [] for name in programs}
    for turn in range(asked.rounds + 1):
        for name, program in programs.items():
            start = started(program)
            if turn:  # the first reads the files from disk
                seen[name].append(start)
    times = {name: min(each.milliseconds for each in several) for name, several in seen.items()}
    memory = {name: min(each.megabytes for each in several) for name, several in seen.items()}
    print(f"{'':<24}{'ms':>6}{'MB':>6}{'ratio':>8}   least of {asked.rounds}, three clients of boto3 in each")
    faults = []
    for name in programs:
        line = f"{name:<24}{times[name]:>6.0f}{memory[name]:>6.0f}"
        if name in chosen:
            beside = chosen[name].beside
            ratio = times[name] / times[beside]
            line += f"{ratio:>8.2f}   of {beside}"
            if ratio > BOUND:
                faults.append(f"{name} takes {ratio:.2f} times {beside}; {BOUND} are allowed")
        print(line)
    print(*faults or ["within the bounds"], sep="\n")
    return 1 if faults else 0


def started(program: str) -> Start:
    """What this program takes, in a process that has nothing of this one's environment but where to find programs."""
    environment = {"PATH": os.environ.get("PATH", ""), **ENVIRONMENT}
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, program], capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        raise SystemExit(f"{program.strip()}:\n{done.stderr}")
    milliseconds, megabytes = map(float, done.stdout.splitlines()[-1].split())
    return Start(milliseconds, megabytes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
