"""`make demo`: the main job, and what it pays for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from penstock.local.port import free_port
from tests.e2e.stack import ROOT


def demo(state: Path, *options: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the demo as its user does, also where the ports of `make run` are set."""
    return subprocess.run(
        [sys.executable, "-m", "penstock.cli.main", "demo", "--state", str(state), *options],
        env={**os.environ, "PENSTOCK_API_PORT": str(free_port()), **settings},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def embedded(answer: subprocess.CompletedProcess[str]) -> int:
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (count,) = re.findall(r"Texts sent to the embedder in this run: (\d+)", answer.stdout)
    return int(count)


def test_the_demo_pays_once_for_the_same_texts_whatever_their_door_and_their_id(
    on_index: dict[str, str], tmp_path: Path
) -> None:
    first = demo(tmp_path, **on_index)
    assert embedded(first) > 0
    assert len(re.findall(r"S3 drop folder .* indexed", first.stdout)) == 5
    assert len(re.findall(r"HTTPS .* indexed", first.stdout)) == 5
    assert max(map(len, first.stdout.splitlines())) <= 120
    assert embedded(demo(tmp_path, **on_index)) == 0
    assert embedded(demo(tmp_path, "--new-ids", **on_index)) == 0
