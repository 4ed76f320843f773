"""OpenSearch on this machine: three archives of Maven Central make a real server with vectors, fetched once per user.

python -m penstock.local.opensearch [--port 9200] [--state FOLDER]
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from penstock.domain.errors import Misconfigured
from penstock.local.health import await_health
from penstock.local.port import HOST, check_free, free_port
from penstock.local.process import die_with_parent, end

VERSION = "3.6.0"
"""The one 3.x of which all three archives are published."""
LEAST_JAVA = 21
HEAP = "512m"

_NOBODY = 65534
"""Whom the server runs as where we are root, which it refuses to be."""
_OF_ROOT = Path("/var/tmp/penstock-opensearch")  # noqa: S108 - where _NOBODY can reach it
_FETCH = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
_JAVAS = (
    ("/usr/lib/jvm", "*"),
    ("/opt", "*j*"),
    ("~/.sdkman/candidates/java", "*"),
    ("/Library/Java/JavaVirtualMachines", "*/Contents/Home"),
)
_UNUSED = ("modules/ingest-geoip/", "modules/opensearch-dashboards/", "lib/tools/fips-demo-installer-cli/")
"""Of the server's archive: 100 MB that nothing here asks for."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip file on Maven Central, and where in the server's home it belongs."""

    coordinate: str
    folder: str
    outermost: str
    """The folder in the archive that is left out, with its '/'."""
    sha256: str


_ARCHIVES = (
    Archive(
        f"org.opensearch.distribution.integ-test-zip:opensearch:{VERSION}:zip",
        "",
        f"opensearch-{VERSION}/",
        "a91faa1dc1cadc78cb278b4f63847e19e1627a4e9de698e14e7efc14ee37b286",
    ),
    Archive(
        f"org.opensearch.plugin:opensearch-knn:{VERSION}.0:zip",
        "plugins/opensearch-knn",
        "",
        "ac392ca28a39b3bf290648a422ef30cb149dda2963a9d7feb26060e932341c9a",
    ),
    Archive(
        f"org.opensearch.plugin:neural-search:{VERSION}.0:zip",
        "plugins/opensearch-neural-search",
        "",
        "6ef1b206e79391e2e36268e32dc34d27fd8b8a59a8eb0a7393c97d53b038e433",
    ),
)


@dataclass(frozen=True, slots=True)
class OpenSearch:
    """A server that answers."""

    url: str
    process: subprocess.Popen[bytes]


def missing() -> str | None:
    """What this machine lacks to run one, and what to do; None where it lacks nothing."""
    if _java() is None:
        return (
            f"OpenSearch needs Java {LEAST_JAVA} or newer and none was found: install a JDK, or set "
            "OPENSEARCH_JAVA_HOME to one."
        )
    if not (_home() / ".complete").exists() and shutil.which("mvn") is None:
        return "OpenSearch is fetched by Maven, and there is no mvn on PATH: install Maven."
    return None


@contextmanager
def opensearch(
    state: Path,
    *,
    port: int | None = None,
    heap: str = HEAP,
    brief: bool = False,
    ready: float = 120,
    patience: float = 30,
) -> Iterator[OpenSearch]:
    """A server for as long as the context lasts, on 127.0.0.1 alone and without passwords. The first time it is
    fetched: 200 MB.

    Ctrl-C in a terminal does not reach it: whoever holds the context ends it, after all that uses it.

    Args:
        state: a folder that keeps what it holds from one run to the next, and its logs.
        port: a free one, where None.
        heap: of the Java virtual machine; the process takes about 300 MB more.
        brief: it will not live long, so its code is compiled quickly rather than well: half the work of a start.
        ready: seconds it may take to answer.
        patience: seconds it may take to end, before it is killed.

    Raises:
        Misconfigured: the port is in use, something is missing, or the server did not start; what to do.
    """
    if port is not None:
        check_free(port, user="OpenSearch", setting="PORT (make opensearch PORT=9201)")
    port = port or free_port()
    home = install()
    folder = _prepared(state, home, port)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "HOSTNAME": "localhost",
        "OPENSEARCH_TMPDIR": str(folder / "tmp"),
        "OPENSEARCH_JAVA_OPTS": f"-Xms{heap} -Xmx{heap}{' -XX:TieredStopAtLevel=1' if brief else ''}",
    }
    command = _command(home, folder, environment)
    log = folder / "logs" / "output.log"
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - no shell, and nothing a user typed
            command,
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - sets one kernel flag and takes no lock
            user=_user(),
            group=_user(),
            extra_groups=None if _user() is None else [],
        )
    try:
        url = f"http://{HOST}:{port}"
        await_health("OpenSearch", process, f"{url}/_cluster/health?wait_for_status=yellow&timeout=5s", log, ready)
        yield OpenSearch(url, process)
    finally:
        end(process, patience)


def install() -> Path:
    """Where the server is unpacked, after it was if it was not.

    Raises:
        Misconfigured: Java or Maven is missing, or Maven did not bring what it should.
    """
    home = _home()
    if (why := missing()) is not None:
        raise Misconfigured(why=why)
    home.parent.mkdir(parents=True, exist_ok=True)
    with (home.parent / f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / ".complete").exists():
            shutil.rmtree(home, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=home.parent) as temporary:
                draft = Path(temporary) / "home"
                for archive in _ARCHIVES:
                    _unpack(archive, _fetched(archive, Path(temporary)), draft)
                (draft / ".complete").touch()
                draft.rename(home)
    return home


def _home() -> Path:
    if _is_root():
        return _OF_ROOT / f"home-{VERSION}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return cache / "penstock" / f"opensearch-{VERSION}"


def _is_root() -> bool:
    return os.geteuid() == 0


def _user() -> int | None:
    """Whom the server runs as; None: as us."""
    return _NOBODY if _is_root() else None


def _java() -> Path | None:
    """The home of a Java that is new enough."""
    told = [Path(os.environ[name]) for name in ("OPENSEARCH_JAVA_HOME", "JAVA_HOME") if os.environ.get(name)]
    found = [home for folder, pattern in _JAVAS for home in sorted(Path(folder).expanduser().glob(pattern))]
    return next((home for home in [*told, *found] if _java_version(home) >= LEAST_JAVA), None)


def _java_version(home: Path) -> int:
    try:
        version = re.search(r'^JAVA_VERSION="(\d+)', (home / "release").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(version[1]) if version and (home / "bin" / "java").exists() else 0


def _fetched(archive: Archive, into: Path) -> Path:
    """Maven keeps what it fetched in its own repository, so that a second try is quick."""
    group, artifact, version, kind = archive.coordinate.split(":")
    path = into / f"{artifact}-{version}.{kind}"
    maven = subprocess.run(  # noqa: S603 - no shell, and nothing a user typed
        [  # noqa: S607 - the mvn that the user has
            "mvn",
            "-B",
            "-q",
            "-ntp",
            "-Dstyle.color=never",
            _FETCH,
            f"-Dartifact={archive.coordinate}",
            f"-DoutputDirectory={into}",
            "-Dmdep.overWriteReleases=true",
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if maven.returncode or not path.exists():
        raise Misconfigured(why=f"Maven did not bring {group}:{artifact}: {(maven.stdout + maven.stderr)[-500:]}")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != archive.sha256:
        why = f"{archive.coordinate} came with sha256 {found} and should have {archive.sha256}: it was not unpacked."
        raise Misconfigured(why=why)
    return path


def _unpack(archive: Archive, path: Path, home: Path) -> None:
    with zipfile.ZipFile(path) as zipped:
        for each in zipped.infolist():
            inside = each.filename.removeprefix(archive.outermost)
            if each.is_dir() or inside.startswith(_UNUSED):
                continue
            target = home / archive.folder / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            with zipped.open(each) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file)
    path.unlink()


def _prepared(state: Path, home: Path, port: int) -> Path:
    """The folder of one server, with its configuration."""
    folder = _reachable(state.absolute())
    for name in ("data", "logs", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    shutil.copytree(home / "config", folder / "config", dirs_exist_ok=True)
    (folder / "config" / "opensearch.yml").write_text(
        f"""cluster.name: penstock
node.name: one
path: {{data: "{folder / "data"}", logs: "{folder / "logs"}"}}
network.host: {HOST}
http.port: {port}
transport.port: 0
discovery.type: single-node
action.auto_create_index: false
cluster.routing.allocation.disk.threshold_enabled: false
"""
    )
    options = folder / "config" / "jvm.options"
    text = options.read_text().replace("logs/", f"{folder / 'logs'}/")
    options.write_text(text.replace("HeapDumpPath=data", f"HeapDumpPath={folder / 'data'}"))
    if _is_root():
        for path in (folder, *folder.rglob("*")):
            os.chown(path, _NOBODY, _NOBODY)
    return folder


def _reachable(state: Path) -> Path:
    """The folder itself or, where the server has to run as nobody, one that nobody can reach, linked from there: who
    removes the link has removed the state."""
    if not _is_root():
        return state
    target = _OF_ROOT / hashlib.sha256(str(state).encode()).hexdigest()[:16]
    if not state.is_symlink():
        shutil.rmtree(target, ignore_errors=True)
        state.parent.mkdir(parents=True, exist_ok=True)
        state.symlink_to(target)
    target.mkdir(parents=True, exist_ok=True)
    return target


def _command(home: Path, folder: Path, environment: Mapping[str, str]) -> list[str]:
    """What bin/opensearch would start, without the four small virtual machines that it starts before."""
    java = _java()
    assert java is not None, "install looked for it"
    base, path = [str(java / "bin" / "java")], str(home / "lib" / "*")
    parsed = subprocess.run(  # noqa: S603 - no shell, and nothing a user typed
        [*base, "-cp", path, "org.opensearch.tools.launchers.JvmOptionsParser", str(folder / "config")],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        user=_user(),
        group=_user(),
        extra_groups=None if _user() is None else [],
    )
    if parsed.returncode:
        raise Misconfigured(why=f"OpenSearch cannot be started by {java}: {parsed.stderr[-500:].strip()}")
    return [
        *base,
        *parsed.stdout.split(),
        f"-Dopensearch.path.home={home}",
        f"-Dopensearch.path.conf={folder / 'config'}",
        "-Dopensearch.distribution.type=zip",
        "-Dopensearch.bundled_jdk=false",
        "-cp",
        path,
        "org.opensearch.bootstrap.OpenSearch",
    ]


def main() -> None:
    """Run one until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=9200)
    parser.add_argument("--state", type=Path, default=Path(".penstock/opensearch"))
    parser.add_argument("--heap", default=HEAP)
    asked = parser.parse_args()

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)  # a shell starts what runs in its background with SIGINT ignored
    print("Starting OpenSearch, which is fetched the first time …")
    try:
        with opensearch(asked.state, port=asked.port, heap=asked.heap) as server:
            print(
                f"OpenSearch {VERSION} is ready until Ctrl-C. For Penstock, and for its tests and benchmarks:\n\n"
                f"    export PENSTOCK_INDEX=opensearch PENSTOCK_INDEX_URL={server.url}\n"
                f"    export OPENSEARCH_URL={server.url}\n",
                flush=True,
            )
            sys.exit(server.process.wait())
    except Misconfigured as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print("Ended. Nothing is running any more.")


if __name__ == "__main__":
    main()
