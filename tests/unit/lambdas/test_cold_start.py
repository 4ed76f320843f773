"""Cold starts: what each function imports until it is ready for its first event, and what its layers contain."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from benchmarks.cold import ENVIRONMENT, HANDLERS
from penstock.local.template import read_template
from tests.support.paths import ROOT

RESOURCES = read_template(ROOT / "template.yaml").resources
FUNCTIONS = {
    name: each["Properties"] for name, each in RESOURCES.items() if each["Type"] == "AWS::Serverless::Function"
}

INDEX = "penstock.adapters.opensearch.connection"
TEXTS = ["numpy", "openai", "snowballstemmer"]
LATER = {
    "ApiFunction": [INDEX, *TEXTS],
    "ExtractFunction": [INDEX, *TEXTS, "charset_normalizer", "cryptography", "pypdf", "pypdfium2", "selectolax"],
    "EmbedFunction": [INDEX, *TEXTS],
    "DeleteFunction": [INDEX],
    "SweepFunction": [INDEX],
}
"""The modules that a function imports only when an event needs them: for the index, for a text to embed, or for a file
to read (in the child process)."""

HEAVY = {"numpy", "openai", "opensearchpy", "pypdf", "pypdfium2", "selectolax", "snowballstemmer", "wordllama"}
NEVER = {
    "api": HEAVY | {"celery", "kombu", "billiard"},
    "stages": HEAVY | {"fastapi", "pydantic"},
    "arrivals": HEAVY | {"celery", "kombu", "billiard", "fastapi", "pydantic"},
    "dead_letters": HEAVY | {"celery", "kombu", "billiard", "fastapi", "pydantic"},
    "sweep": HEAVY | {"celery", "kombu", "billiard", "fastapi", "pydantic"},
}
"""The modules that a handler must not import until it is ready. `make bench-cold` measures the times."""

WITHOUT = """
import importlib, json, sys
program, hidden, later = sys.argv[1], set(json.loads(sys.argv[2])), json.loads(sys.argv[3])

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hide())
exec(program)
for name in later:
    importlib.import_module(name)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def handler_of(function: str) -> str:
    """The name of its module, by which the benchmark knows it."""
    return str(FUNCTIONS[function]["Handler"]).split(".")[-2]


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a process without the environment of this one."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **ENVIRONMENT},
    )


def run_without(hidden: set[str], handler: str, later: list[str]) -> set[str]:
    """The top-level modules of a process that made this handler ready and imported what it needs later."""
    done = run(WITHOUT, HANDLERS[handler].ready, json.dumps(sorted(hidden)), json.dumps(later))
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(layer: str) -> set[str]:
    """The distributions that a layer contains."""
    lock = ROOT / RESOURCES[layer]["Properties"]["ContentUri"] / "requirements.txt"
    return {normal(found[1]) for found in re.finditer(r"^([A-Za-z0-9._-]+)==", lock.read_text(), re.MULTILINE)}


def asked(layer: str) -> set[str]:
    """The distributions for whose sake the layer exists. The others are their dependencies."""
    wanted = ROOT / RESOURCES[layer]["Properties"]["ContentUri"] / "requirements.in"
    return {normal(found[1]) for found in re.finditer(r"^([A-Za-z0-9._-]+)", wanted.read_text(), re.MULTILINE)}


def layers_of(function: str) -> list[str]:
    return [each["Ref"] for each in FUNCTIONS[function]["Layers"]]


@cache
def distributions() -> dict[str, set[str]]:
    """The installed distributions, by the top-level modules that they bring."""
    return {top: {normal(each) for each in of} for top, of in packages_distributions().items()}


@cache
def imported_by(function: str) -> set[str]:
    """The distributions that a function imports when only those of its layers exist."""
    mine = {name for layer in layers_of(function) for name in locked(layer)}
    owners = distributions()
    hidden = {top for top, of in owners.items() if not of & mine and "penstock" not in of}
    modules = run_without(hidden, handler_of(function), LATER.get(function, []))
    return {name for module in modules for name in owners.get(module, ())}


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_function_is_ready_without_what_is_heavy(handler: str) -> None:
    assert run_without(set(), handler, []) & NEVER[handler] == set()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_runs_with_nothing_but_its_layers(function: str) -> None:
    """Lambda's own boto3 does not count: it has another version, and may be removed."""
    assert imported_by(function) >= {"boto3", "botocore", "aws-lambda-powertools", "msgspec"}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_takes_only_what_it_imports(function: str) -> None:
    taken = {name for layer in layers_of(function) for name in asked(layer)}
    assert taken - imported_by(function) == set()


def test_every_function_is_measured() -> None:
    assert {handler_of(function) for function in FUNCTIONS} == HANDLERS.keys() == NEVER.keys()


COLLECTED = """
import gc, sys, penstock.lambdas.cold_start
times = lambda: sum(each["collections"] for each in gc.get_stats())
before = times()
exec(sys.argv[1])
print(times() - before, gc.isenabled(), gc.get_freeze_count() > 10_000)
"""


@pytest.mark.parametrize("handler", HANDLERS)
def test_nothing_is_collected_before_the_first_event_and_nothing_made_by_then_ever_after(handler: str) -> None:
    done = run(COLLECTED, HANDLERS[handler].ready.replace(".app.state.services()", ""))
    assert done.stdout == "0 True True\n", done.stderr


FAILED_START = """
import gc
from penstock.lambdas.cold_start import per_container

@per_container
def made():
    raise OSError

try:
    made()
except OSError:
    print(gc.isenabled())
"""


def test_after_a_start_that_failed_garbage_is_collected() -> None:
    assert run(FAILED_START).stdout == "True\n"


LIKE_LAMBDA = """
import _multiprocessing, _posixshmem, errno, sys
from pathlib import Path

def refused(*_, **__):
    raise OSError(errno.ENOSYS, "Function not implemented")

_multiprocessing.SemLock = refused
_posixshmem.shm_open = refused

from penstock.lambdas.stages import consumer
from penstock.reading.sandbox.reader import ChildReader

consumer()
with ChildReader().read(Path(sys.argv[1]), name="a.txt", declared=None) as reading:
    print(*(page.text for page in reading))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Lambda is Linux")
def test_a_stage_needs_neither_semaphores_nor_shared_memory(tmp_path: Path) -> None:
    """Lambda has no /dev/shm: what needs it fails there as it does here."""
    path = tmp_path / "a.txt"
    path.write_text("the weir")
    done = run(LIKE_LAMBDA, str(path))
    assert done.stdout == "the weir\n", done.stderr
