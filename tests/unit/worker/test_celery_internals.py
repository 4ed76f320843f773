"""A canary for new versions: it lists the names inside Celery, kombu and billiard that Penstock uses.

pyproject.toml keeps the three below their next minor version. Before a bound is raised, this test says which names are
gone or changed, and which modules use them.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import billiard.einfo
import celery.apps.worker
import pytest
from celery import Celery
from celery.concurrency.prefork import TaskPool
from kombu.asynchronous import Hub
from kombu.asynchronous.aws.sqs.connection import AsyncSQSConnection
from kombu.asynchronous.http.curl import CurlClient
from kombu.transport import SQS
from kombu.transport.virtual import QoS

from tests.support.paths import ROOT

SOURCE = ROOT / "src"
SCANNED = ("worker", "celery_app", "lambdas")


@dataclass(frozen=True)
class Internal:
    """A name inside a library that a module of Penstock uses."""

    owner: str
    """The class, object or module that has the name: a key of `owners`."""
    name: str
    used_by: str
    """The module that uses the name, as a path below src/penstock."""
    parameters: str | None = None
    """The names of its parameters, if it is a function that Penstock overrides or calls with arguments."""


INTERNALS = [
    Internal("kombu SQS.Channel", "_schedule_queue", "worker/channel.py", "queue"),
    Internal("kombu SQS.Channel", "_loop1", "worker/channel.py", "queue messages_fetched"),
    Internal(
        "kombu SQS.Channel", "_get_from_sqs", "worker/channel.py", "queue_name queue_url connection count callback"
    ),
    Internal("kombu SQS.Channel", "_on_messages_ready", "worker/channel.py", "queue qname messages"),
    Internal("kombu SQS.Transport", "_callbacks", "worker/channel.py"),
    Internal("kombu QoS", "_delivered", "worker/prefetch.py"),
    Internal("kombu QoS", "_dirty", "worker/prefetch.py"),
    Internal("kombu CurlClient", "_set_timeout", "worker/http_client.py", "msecs"),
    Internal("kombu CurlClient", "_timeout_check", "worker/http_client.py"),
    Internal("kombu CurlClient", "_closed", "worker/http_client.py"),
    Internal("kombu CurlClient", "_free_list", "worker/http_client.py"),
    Internal("kombu CurlClient", "_curls", "worker/http_client.py"),
    Internal("kombu CurlClient", "_multi", "worker/http_client.py"),
    Internal("kombu AsyncSQSConnection", "_httpclient", "worker/http_client.py"),
    Internal(
        "kombu AsyncSQSConnection", "_on_list_ready", "worker/http_client.py", "parent markers operation response"
    ),
    Internal("celery TaskPool", "_pool", "worker/process.py"),
    Internal(
        "celery.apps.worker",
        "install_worker_term_handler",
        "worker/process.py",
        "worker sig how callback exitcode verbose",
    ),
    Internal("billiard.einfo", "ExceptionWithTraceback", "celery_app/request.py"),
    Internal("billiard Pool", "_cache", "worker/pool_acks.py"),
    Internal("billiard Pool", "_result_handler", "worker/pool_acks.py"),
    Internal(
        "celery ResultHandler", "_flush_outqueue", "worker/pool_acks.py", "fd remove process_index on_state_change"
    ),
    Internal("celery ResultHandler", "fileno_to_outq", "worker/pool_acks.py"),
    Internal("celery ResultHandler", "on_state_change", "worker/pool_acks.py"),
    Internal("billiard job", "_accepted", "worker/pool_acks.py"),
    Internal("billiard job", "_write_to", "worker/pool_acks.py"),
    Internal("billiard Process", "_is_alive", "worker/pool_acks.py", ""),
    Internal("billiard Process", "outqR_fd", "worker/pool_acks.py"),
    Internal("billiard Process", "outq", "worker/pool_acks.py"),
    Internal("billiard Process's outq", "_reader", "worker/pool_acks.py"),
]


@pytest.fixture(scope="module")
def owners() -> Iterator[Mapping[str, Any]]:
    """The classes, and where only an object has the name, an object."""
    hub, app = Hub(), Celery(set_as_current=False)
    client = CurlClient(hub)
    tasks = TaskPool(1, app=app, threads=False, initargs=(app, "here"))
    tasks.start()
    tasks.register_with_event_loop(hub)
    pool = tasks._pool
    (process,) = pool._pool
    yield {
        "kombu SQS.Channel": SQS.Channel,
        "kombu SQS.Transport": SQS.Transport,
        "kombu QoS": QoS,
        "kombu CurlClient": client,
        "kombu AsyncSQSConnection": AsyncSQSConnection(None, http_client=client),
        "celery.apps.worker": celery.apps.worker,
        "celery TaskPool": tasks,
        "celery ResultHandler": pool._result_handler,
        "billiard.einfo": billiard.einfo,
        "billiard Pool": pool,
        "billiard job": tasks.apply_async(Path.exists, (Path("/"),)),
        "billiard Process": process,
        "billiard Process's outq": process.outq,
    }
    tasks.terminate()
    client.close()
    hub.close()


@pytest.mark.parametrize("internal", INTERNALS, ids=lambda internal: f"{internal.owner} {internal.name}")
def test_a_library_still_has_what_is_used_of_it(internal: Internal, owners: Mapping[str, Any]) -> None:
    library = internal.owner.partition(" ")[0].partition(".")[0]
    changed = (
        f"{library} changed {internal.owner.removeprefix(library + ' ')}.{internal.name}: {internal.used_by} uses it"
    )
    assert hasattr(owners[internal.owner], internal.name), changed
    if internal.parameters is not None:
        found = inspect.signature(getattr(owners[internal.owner], internal.name)).parameters
        assert [name for name in found if name != "self"] == internal.parameters.split(), changed


def test_the_list_is_complete() -> None:
    listed = {(each.used_by, each.name) for each in INTERNALS if each.name.startswith("_")}
    assert set(private_names_of_libraries()) == listed


def private_names_of_libraries() -> Iterator[tuple[str, str]]:
    """Every private name that a scanned module uses or overrides, and that is not its own."""
    for folder in SCANNED:
        for path in sorted((SOURCE / "penstock" / folder).rglob("*.py")):
            tree = ast.parse(path.read_text())
            names = {each.attr for each in ast.walk(tree) if isinstance(each, ast.Attribute) and is_private(each)}
            for name in names - own_names(tree) | overridden_names(path):
                yield str(path.relative_to(SOURCE / "penstock")), name


def is_private(attribute: ast.Attribute) -> bool:
    in_os = isinstance(attribute.value, ast.Name) and attribute.value.id == "os"  # os._exit is documented
    return attribute.attr.startswith("_") and not attribute.attr.startswith("__") and not in_os


def own_names(tree: ast.Module) -> set[str]:
    """The names that the classes of a module define, or that their methods assign."""
    nodes = list(ast.walk(tree))
    defined = {each.name for each in nodes if isinstance(each, ast.FunctionDef)}
    assigned = {each.attr for each in nodes if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store)}
    of_class = {each.id for each in nodes if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    return defined | assigned | of_class


def overridden_names(path: Path) -> set[str]:
    """The private names of a module's classes that a base class from a library has, too."""
    module = importlib.import_module(".".join(path.relative_to(SOURCE).with_suffix("").parts))
    classes = [each for each in vars(module).values() if inspect.isclass(each) and each.__module__ == module.__name__]
    return {
        name
        for each in classes
        for name in vars(each)
        if name.startswith("_") and not name.startswith("__")
        for base in each.__mro__[1:]
        if base.__module__.partition(".")[0] in {"celery", "kombu", "billiard"} and hasattr(base, name)
    }
