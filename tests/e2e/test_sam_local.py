"""`sam local invoke` as docs/deploy.md describes it, with podman in place of Docker."""

from __future__ import annotations

import asyncio
import json
import platform
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from penstock.local.template import load_template
from tests.e2e.podman import Podman, needs
from tests.e2e.stack import ROOT
from tools.lambda_lab.invoke import packaged, place_of, world
from tools.lambda_lab.package import CODE, Package
from tools.lambda_lab.runtime import unpacked
from tools.lambda_lab.sample_events import MOMENT, SAMPLES, Sample, documents, shown

pytestmark = [pytest.mark.usefixtures("at_the_root"), needs("podman", "mmdebstrap", "sam"), pytest.mark.timeout(900)]
PLACE = replace(place_of(ROOT), state=ROOT / ".penstock/sam")
DEBIAN = (
    f"--platform=manylinux_2_28_{platform.machine()}",
    f"--platform=manylinux_2_17_{platform.machine()}",
    f"--platform=manylinux2014_{platform.machine()}",
    "--python-version=3.11",
    "--implementation=cp",
    "--only-binary=:all:",
)
"""The options with which pip installs packages for the Python of the image."""
_ARCHITECTURES = {"aarch64": "arm64"}
INVOKED = {"api-alive", "stages-extract"}
"""Only these events, because each takes tens of seconds: sam first makes an image of all layers."""


@pytest.fixture(scope="module")
def image(podman: Podman) -> str:
    requirements = f"requirements={ROOT / 'requirements'}"
    folder = ROOT / "tests/e2e/lambda_image"
    return podman.build("localhost/penstock-lambda-python", folder, "--build-context", requirements)


@pytest.fixture(scope="module")
def made() -> Package:
    return packaged(PLACE, DEBIAN)


@pytest.mark.parametrize("sample", [each for each in SAMPLES if each.event in INVOKED], ids=lambda each: each.event)
def test_a_sample_event_is_answered_in_sams_container(
    podman: Podman, image: str, made: Package, tmp_path: Path, sample: Sample
) -> None:
    with (
        world(PLACE, tmp_path / "emulator.log") as (environment, own),
        reachable_from_containers(podman, environment["AWS_ENDPOINT_URL"]) as endpoint,
        podman.service(tmp_path) as docker_host,
    ):
        sample.before(replace(own, clock=lambda: MOMENT))
        variables = {**environment, "AWS_ENDPOINT_URL": endpoint, "PENSTOCK_INDEX_PATH": "/tmp/index"}
        done = subprocess.run(
            [
                *("sam", "local", "invoke", sample.function, "--event", PLACE.events / f"{sample.event}.json"),
                *("--template", built(made, tmp_path, variables), "--region", "us-east-1"),
                *("--skip-pull-image", "--invoke-image", image),
            ],
            # sam would override variables of the function with those of its own environment.
            env={**podman.environment, **variables, "DOCKER_HOST": docker_host, "SAM_CLI_TELEMETRY": "0"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert shown(json.loads(done.stdout)) == sample.answer, done.stderr
        assert documents(own) == sample.leaves


def built(made: Package, folder: Path, variables: Mapping[str, str]) -> Path:
    """The output of `sam build`, but for this machine and for the Python of the image."""
    template = load_template(PLACE.template)
    function = template["Globals"]["Function"]
    function["CodeUri"] = str(unpacked(made.archives[CODE], PLACE.unpacked))
    function["Architectures"] = [_ARCHITECTURES.get(platform.machine(), platform.machine())]
    function["Environment"]["Variables"] |= variables
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::LayerVersion":
            layer = resource["Properties"]
            layer["ContentUri"] = str(unpacked(made.archives[layer["ContentUri"]], PLACE.unpacked))
            layer["CompatibleArchitectures"] = function["Architectures"]
            del resource["Metadata"]
    path = folder / "template.yaml"
    path.write_text(json.dumps(template))
    return path


_IP_FREEBIND = 15
"""A constant of Linux. It lets a server listen on the address of podman's bridge, which exists only while a container
runs."""


@contextmanager
def reachable_from_containers(podman: Podman, url: str) -> Iterator[str]:
    """In a container 127.0.0.1 is the container itself. Connections to the address that it has for this machine are
    forwarded to `url`."""
    there = urlsplit(url)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, asked = await asyncio.open_connection(there.hostname, there.port)
        await asyncio.gather(_pass_on(reader, asked), _pass_on(answers, writer))

    with socket.socket() as listener:
        listener.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        listener.bind((podman.gateway(), 0))
        address, port = listener.getsockname()
        loop = asyncio.new_event_loop()
        server = loop.run_until_complete(asyncio.start_server(relay, sock=listener))
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield f"http://{address}:{port}"
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            server.close()
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while content := await reader.read(65_536):
            writer.write(content)
            await writer.drain()
    writer.close()
