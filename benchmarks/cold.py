"""How long each Lambda handler takes to import, and how much memory it then has, beside what it is bound to be.

    python -m benchmarks.cold [--rounds N] [HANDLER…]

Each is imported in a process of its own, one after the other in turns, so that what the machine does meanwhile falls
on all alike: the ratios are what counts. Fails where one is above its bound.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

BARE_API = "bare FastAPI + Mangum + boto3"
BARE_CELERY = "bare Celery + SQS + boto3"
BOUND = 1.2

_IMPORTS = {
    BARE_API: "import fastapi, mangum, boto3; fastapi.FastAPI()",
    BARE_CELERY: "import celery, kombu.transport.SQS, boto3; celery.Celery('bare')",
    "api": "import penstock.lambdas.api",
    "arrivals": "import penstock.lambdas.arrivals",
    "stages": "import penstock.lambdas.stages",
    "dead_letters": "import penstock.lambdas.dead_letters",
    "sweep": "import penstock.lambdas.sweep",
}
_CLIENTS = """
import boto3
session = boto3.Session(region_name='us-east-1')
for service in ('s3', 'dynamodb', 'sqs'):
    session.client(service, aws_access_key_id='x', aws_secret_access_key='x')
"""
"""A bare one has them as well: a handler makes its own at its first event, which is measured with them."""
_BESIDE = {
    "api": BARE_API,
    "arrivals": BARE_API,
    "stages": BARE_CELERY,
    "dead_letters": BARE_CELERY,
    "sweep": BARE_CELERY,
}
_HEAVY = ("celery", "kombu", "pypdfium2", "pypdf", "wordllama", "openai")
_NOT_IN = {"api": _HEAVY, "arrivals": _HEAVY}
"""What a handler must not import."""

_CHILD = """
import json, resource, sys, time
began = time.perf_counter()
exec(sys.argv[1])
taken = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([taken * 1000, peak / 1024, sorted({name.partition('.')[0] for name in sys.modules})]))
"""


@dataclass(frozen=True)
class Import:
    milliseconds: float
    megabytes: float
    modules: frozenset[str]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("handlers", nargs="*", help=f"of {', '.join(_BESIDE)}; all, where none is named")
    asked = parser.parse_args(arguments)
    rounds, handlers = asked.rounds, asked.handlers or list(_BESIDE)
    imports = {name: _IMPORTS[name] for name in (*dict.fromkeys(_BESIDE[each] for each in handlers), *handlers)}
    seen: dict[str, list[Import]] = {name: [] for name in imports}
    for turn in range(rounds + 1):
        for name, statement in imports.items():
            measured = imported(statement + _CLIENTS)
            if turn:  # the first reads the files from disk
                seen[name].append(measured)
    times = {name: statistics.median(each.milliseconds for each in several) for name, several in seen.items()}
    memory = {name: statistics.median(each.megabytes for each in several) for name, several in seen.items()}
    print(f"{'':<32}{'ms':>8}{'MB':>8}{'ratio':>8}   median of {rounds}, three boto3 clients included")
    faults = []
    for name in imports:
        beside = _BESIDE.get(name)
        ratio = times[name] / times[beside] if beside else 1.0
        print(f"{name:<32}{times[name]:>8.0f}{memory[name]:>8.0f}{ratio:>8.2f}   {'of ' + beside if beside else ''}")
        if ratio > BOUND:
            faults.append(f"{name} takes {ratio:.2f} times {beside}; {BOUND} are allowed")
        if heavy := set(_NOT_IN.get(name, ())) & seen[name][0].modules:
            faults.append(f"{name} imports {', '.join(sorted(heavy))}")
    print(*faults or ["within the bounds"], sep="\n")
    return 1 if faults else 0


def imported(statement: str) -> Import:
    done = subprocess.run([sys.executable, "-c", _CHILD, statement], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{statement.strip().splitlines()[0]}:\n{done.stderr}")
    taken, peak, modules = json.loads(done.stdout.splitlines()[-1])
    return Import(taken, peak, frozenset(modules))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
