"""How long each Lambda handler takes to be ready for its first event, and how much memory it then uses, compared with a
bare program of the libraries that it must load.

    python -m benchmarks.cold [--rounds N] [HANDLER…]

A handler is ready when it is imported and everything that its first event creates exists, clients and services
included. Nothing connects. Each program runs in a process of its own, in turns. The shortest processor time counts,
because other work of the machine can only add to it. The program fails if a handler exceeds its bound.
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
"""The example of FastAPI's README: without a route, half of what FastAPI needs would not be imported."""
_BARE = {
    "bare FastAPI + Mangum": _FIRST_EXAMPLE,
    "bare Celery": "import celery, kombu.transport.SQS; app = celery.Celery('bare')",
    "bare boto3": "",
}
"""The programs that handlers are compared with. Each also creates the three clients of boto3."""


@dataclass(frozen=True)
class Handler:
    ready: str
    """The program that makes the handler ready."""
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
    "PENSTOCK_INDEX": "opensearch",
    "PENSTOCK_INDEX_URL": "https://search-x.us-east-1.es.amazonaws.com",
    "PENSTOCK_EMBEDDER": "openai",
    "PENSTOCK_PROVIDER_KEY": "/penstock/provider-key",
}
"""The environment variables of the template that a function needs."""

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
    parser.add_argument("handlers", nargs="*", help=f"of {', '.join(HANDLERS)}; all, if none is named")
    options = parser.parse_args(arguments)
    chosen = {name: HANDLERS[name] for name in options.handlers or HANDLERS}
    programs = {each.beside: _BARE[each.beside] + _CLIENTS for each in chosen.values()}
    programs |= {name: each.ready for name, each in chosen.items()}
    seen: dict[str, list[Start]] = {name: [] for name in programs}
    for turn in range(options.rounds + 1):
        for name, program in programs.items():
            start = started(program)
            if turn:  # the first round reads the files from disk
                seen[name].append(start)
    times = {name: min(each.milliseconds for each in several) for name, several in seen.items()}
    memory = {name: min(each.megabytes for each in several) for name, several in seen.items()}
    print(f"{'':<24}{'ms':>6}{'MB':>6}{'ratio':>8}   least of {options.rounds}, three clients of boto3 in each")
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
    """Run this program in a process that inherits only PATH, and return what it takes."""
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
