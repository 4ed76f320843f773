"""Every sample event through Lambda's runtime interface, each on an emulator that has the records of the event."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.domain.errors import Misconfigured
from penstock.domain.status import Status
from penstock.local.template import read_template
from tests.e2e.stack import ROOT
from tools.lambda_lab.invoke import invoke, packaged, place_of
from tools.lambda_lab.package import Package
from tools.lambda_lab.runtime import FunctionFailed, container, function
from tools.lambda_lab.sample_events import SAMPLES, Sample

pytestmark = [
    pytest.mark.usefixtures("at_the_root"),
    pytest.mark.timeout(600),  # the first run builds the layers
    pytest.mark.skipif(sys.platform != "linux", reason="the runtime interface emulator is a program for Linux"),
]
PLACE = place_of(ROOT)


@pytest.fixture(scope="module")
def made() -> Package:
    return packaged(PLACE)


@pytest.mark.invariant("I4")
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.event)
def test_a_sample_event_is_answered_and_leaves_what_it_is_to(made: Package, sample: Sample) -> None:
    """Cold and warm: the second delivery changes nothing (I4)."""
    done = invoke(PLACE, sample, made)
    assert not done.differs
    assert done.memory > 20e6, "an interpreter with a handler holds more than that"


def test_an_answer_and_a_world_that_are_not_as_they_should_be_are_told(made: Package) -> None:
    """The check can fail: in the cold answer, in the warm answer, and in the documents that are left."""
    (removal,) = [sample for sample in SAMPLES if sample.event == "stages-delete"]
    done = invoke(PLACE, removal, made)
    for wrong, changed in {
        "answered": replace(removal, answer="kept this-one"),
        "not ('kept none', 'kept this-one')": replace(removal, again="kept this-one"),
        "left nothing, not weir.pdf deleting": replace(removal, leaves={"weir.pdf": Status.DELETING}),
    }.items():
        assert wrong in replace(done, sample=changed).differs


def test_a_function_has_nothing_but_its_package_and_its_layers(made: Package, tmp_path: Path) -> None:
    """Without the layer that has Celery the function does not start, though the environment of these tests has
    Celery."""
    whole = function(read_template(PLACE.template), "DeleteFunction", made, PLACE.unpacked)
    *rest, _ = whole.folders
    without = replace(whole, folders=rest)
    with (
        container(without, PLACE.runtime, {}, tmp_path / "log") as started,
        pytest.raises(FunctionFailed, match="No module named 'celery'"),
    ):
        started.invoke({"Records": []})


_UNCOMPILED = """
import importlib, os, sys
importlib.import_module(sys.argv[1])
for each in list(sys.modules.values()):
    found = getattr(each, "__spec__", None)
    if found and found.cached and found.origin.startswith(sys.argv[2]):
        taken = os.path.exists(found.cached) and open(found.cached, "rb").read(8)[4:] == bytes([1, 0, 0, 0])
        print(found.name, "compiled" if taken else "not compiled")
"""
"""The flags 1 mean that the bytecode is used whatever the dates of the files (PEP 552)."""


def test_a_cold_start_compiles_nothing(made: Package) -> None:
    """Lambda's disk is read-only, so each start would compile again."""
    whole = function(read_template(PLACE.template), "ExtractFunction", made, PLACE.unpacked)
    module = whole.handler.rpartition(".")[0]
    folders = [str(folder.absolute()) for folder in whole.folders]
    done = subprocess.run(
        [PLACE.runtime / "bin/python", "-s", "-c", _UNCOMPILED, module, str(PLACE.unpacked.absolute())],
        env={"PYTHONPATH": os.pathsep.join(folders), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    seen = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert {"penstock.settings", "celery", "botocore"} <= seen.keys()
    assert set(seen.values()) == {"compiled"}


def test_an_event_without_a_sample_is_told(tmp_path: Path) -> None:
    events = tmp_path / "events"
    shutil.copytree(PLACE.events, events)
    (events / "stages-unheard-of.json").write_text("{}")
    with pytest.raises(Misconfigured, match="stages-unheard-of"):
        packaged(replace(PLACE, events=events))
