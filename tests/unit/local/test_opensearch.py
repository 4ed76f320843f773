"""If a machine lacks something to run OpenSearch, the message names it and says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.domain.errors import Misconfigured
from penstock.local import opensearch


def java(folder: Path, version: str) -> str:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "java").touch()
    (folder / "release").write_text(f'IMPLEMENTOR="Nobody"\nJAVA_VERSION="{version}"\n')
    return str(folder)


@pytest.fixture(autouse=True)
def _nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opensearch, "_JAVAS", ())
    monkeypatch.setattr(opensearch, "_home", lambda: tmp_path / "home")
    for name in ("OPENSEARCH_JAVA_HOME", "JAVA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.parametrize("version", [None, "1.8.0_402", "17.0.15"])
def test_a_java_that_is_too_old_is_none(version: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if version:
        monkeypatch.setenv("JAVA_HOME", java(tmp_path / "jdk", version))
    assert "OPENSEARCH_JAVA_HOME" in str(opensearch.missing())


def test_without_maven_it_cannot_be_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", java(tmp_path / "jdk", "25.0.1"))
    with pytest.raises(Misconfigured, match="install Maven"):
        opensearch.install()
    (tmp_path / "mvn").touch(mode=0o755)
    assert opensearch.missing() is None


def test_what_maven_brings_is_not_unpacked_unless_it_is_what_was_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", java(tmp_path / "jdk", "21"))
    mvn = tmp_path / "mvn"
    name = f"opensearch-{opensearch.VERSION}.zip"
    mvn.write_text(
        '#!/bin/sh\nfor each in "$@"; do case "$each" in -DoutputDirectory=*) '
        f'echo other > "${{each#*=}}/{name}";; esac; done\n'
    )
    mvn.chmod(0o755)
    with pytest.raises(Misconfigured, match="sha256"):
        opensearch.install()
    assert not (tmp_path / "home").exists()
