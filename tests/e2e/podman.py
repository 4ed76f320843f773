"""Containers for tests, where podman is installed. No registry is used: the base of all images is a Debian made here.

Images are kept, because later runs build on them. `podman rmi` of localhost/penstock-* and samcli/* removes them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from penstock.local.process import die_with_parent, end
from tests.e2e.stack import ROOT, until

BASE = "localhost/penstock-debian:bookworm"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_LIMITS = '[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\n'
_PATIENCE = 10.0


def needs(*programs: str) -> pytest.MarkDecorator:
    """Run the test only where these programs are installed. The summary names the one that is missing."""
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}, which this machine does not have")


@dataclass(frozen=True)
class Podman:
    """Podman with limits that this machine allows: its defaults may be higher."""

    environment: Mapping[str, str]

    @classmethod
    def limited(cls, folder: Path) -> Self:
        """
        Args:
            folder: the folder for podman's configuration.
        """
        (folder / "containers.conf").write_text(_LIMITS)
        return cls({**os.environ, "CONTAINERS_CONF": str(folder / "containers.conf")})

    def __call__(self, *arguments: object) -> str:
        """Run podman and return its output."""
        command = ["podman", *map(str, arguments)]
        done = subprocess.run(command, env=self.environment, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-2000:]} {done.stderr[-4000:]}"
        return done.stdout.strip()

    def logs(self, container: str) -> str:
        """The log of the container, from stdout and stderr."""
        command = ["podman", "logs", container]
        return subprocess.run(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
        ).stdout

    def build(self, tag: str, folder: Path, *arguments: object) -> str:
        """Build an image from a folder, on the base that is made here. Returns its name."""
        self._make_base()
        # The server that pip asks may have a certificate that only this machine trusts.
        known = ("--volume", f"{_CERTIFICATES}:{_CERTIFICATES}:ro") if _CERTIFICATES.exists() else ()
        self("build", "--network", "host", *known, "--build-arg", f"BASE={BASE}", "--tag", tag, *arguments, folder)
        return tag

    def _make_base(self) -> None:
        if self("images", "--quiet", BASE):
            return
        with subprocess.Popen(
            ["mmdebstrap", "--quiet", "--variant=minbase", "--include=python3,python3-pip,ca-certificates", "bookworm"],
            stdout=subprocess.PIPE,
        ) as made:
            done = subprocess.run(
                ["podman", "import", "--quiet", "-", BASE], env=self.environment, stdin=made.stdout, check=False
            )
        assert (made.returncode, done.returncode) == (0, 0)

    @contextmanager
    def service(self, folder: Path) -> Iterator[str]:
        """Podman's service with Docker's protocol. Yields the address for DOCKER_HOST."""
        socket = folder / "podman.sock"
        process = subprocess.Popen(
            ["podman", "system", "service", "--time=0", f"unix://{socket}"],
            env=self.environment,
            start_new_session=True,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - sets one kernel flag and takes no lock
        )
        try:
            until(lambda: socket.exists() or None, seconds=30, what="podman listens")
            yield f"unix://{socket}"
        finally:
            end(process, _PATIENCE)

    def gateway(self) -> str:
        """This machine's address in the network of podman's containers."""
        (network,) = json.loads(self("network", "inspect", "podman"))
        return str(network["subnets"][0]["gateway"])
