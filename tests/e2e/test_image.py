"""The worker's image from the repository's Dockerfile: a document goes through the worker in a container."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from penstock.domain.document import Document
from penstock.domain.ids import DocumentId
from penstock.domain.status import FINAL, Status
from penstock.search.query import Question, search
from penstock.services import Services
from tests.e2e.podman import Podman, needs
from tests.e2e.stack import ROOT, until
from tools.lambda_lab.invoke import place_of, world
from tools.lambda_lab.sample_events import TENANT, receive

pytestmark = [pytest.mark.usefixtures("at_the_root"), needs("podman", "mmdebstrap"), pytest.mark.timeout(900)]
WEIR = DocumentId("weir")


@pytest.fixture(scope="module")
def image(podman: Podman) -> str:
    """The image with the embedder that needs no provider."""
    return podman.build("localhost/penstock-worker", ROOT, "--build-arg", "REQUIREMENTS=requirements/local.txt")


def test_a_document_goes_through_the_worker_in_its_image(podman: Podman, image: str, tmp_path: Path) -> None:
    """Only the index and /tmp are writable. SIGTERM to the first process is a warm shutdown."""
    with world(place_of(ROOT), tmp_path / "emulator.log") as (environment, own):
        receive(own, WEIR)
        with worker(podman, image, environment) as name:
            until(lambda: _ended(own), seconds=90, what="the document ends")
            podman("stop", "--time", "60", name)
            assert podman("inspect", "--format", "{{.State.ExitCode}}", name) == "0"
        record = own.documents.read(TENANT, WEIR)
        assert record is not None
        assert record.status is Status.INDEXED
        (hit, *_) = search(own, TENANT, Question("counterweight of the inlet valve", 3)).hits
        assert hit.document == WEIR


@contextmanager
def worker(podman: Podman, image: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Run the worker's container on this machine's own network. Yields its name."""
    name, index = f"penstock-worker-{os.getpid()}", environment["PENSTOCK_INDEX_PATH"]
    settings = {**environment, "AWS_REGION": "us-east-1", "PENSTOCK_WAIT_SECONDS": "1"}
    variables = [part for each in settings.items() for part in ("--env", "=".join(each))]
    mount = ("--volume", f"{index}:{index}:U")  # given to the user that the container runs as
    try:
        podman(
            *("run", "--detach", "--init", "--name", name, "--network", "host", "--read-only", "--tmpfs", "/tmp"),
            *(*mount, *variables, image),
        )
        yield name
    finally:
        print(podman.logs(name))
        podman("rm", "--force", "--ignore", name)
        podman("run", "--rm", "--user", "0", *mount, "--entrypoint", "true", image)  # and given back


def test_the_image_as_it_is_deployed_gets_ready(podman: Podman, tmp_path: Path) -> None:
    """The image has only the packages of requirements/worker.txt."""
    image = podman.build("localhost/penstock-worker-deployed", ROOT)
    settings = {"PENSTOCK_EMBEDDER": "openai", "OPENAI_API_KEY": "sk-sample"}
    with (
        world(place_of(ROOT), tmp_path / "emulator.log") as (environment, _),
        worker(podman, image, {**environment, **settings}) as name,
    ):
        until(lambda: " ready: " in podman.logs(name) or None, seconds=60, what="the worker is ready")


def _ended(services: Services) -> Document | None:
    record = services.documents.read(TENANT, WEIR)
    return record if record is not None and record.status in FINAL else None


def test_the_image_runs_as_a_user_and_leaves_its_tools_behind(podman: Podman, image: str) -> None:
    program = "import importlib.util, os; print(os.getuid(), importlib.util.find_spec('setuptools'))"
    said = podman("run", "--rm", "--entrypoint", "/opt/penstock/bin/python", image, "-c", program)
    assert said == "900 None"
