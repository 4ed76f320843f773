"""OpenSearch on this machine: a real server with vector search, made of three archives from Maven Central that are
fetched once per user.

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
from penstock.local.process import end, start

VERSION = "3.6.0"
"""The only 3.x version of which all three archives are published."""
MIN_JAVA = 21
HEAP = "512m"

_NOBODY = 65534
"""The user that the server runs as if this process is root: it refuses to run as root."""
_ROOT_FOLDER = Path("/var/tmp/penstock-opensearch")  # noqa: S108 - a place that _NOBODY can reach
_MAVEN_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
_JAVAS = (
    ("/usr/lib/jvm", "*"),
    ("/opt", "*j*"),
    ("~/.sdkman/candidates/java", "*"),
    ("/Library/Java/JavaVirtualMachines", "*/Contents/Home"),
)
_UNUSED = ("modules/ingest-geoip/", "modules/opensearch-dashboards/", "lib/tools/fips-demo-installer-cli/")
"""Parts of the server's archive that are left out: 100 MB that nothing here uses."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip file on Maven Central, and the folder of the server's home into which it is unpacked."""

    coordinate: str
    folder: str
    root: str
    """The top folder inside the archive, with its '/'. It is left out of the unpacked paths."""
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
    """What this machine lacks to run OpenSearch, and what to do about it. None if it lacks nothing."""
    if _java() is None:
        return (
            f"OpenSearch needs Java {MIN_JAVA} or newer, and none was found: install a JDK, or set "
            "OPENSEARCH_JAVA_HOME to the folder of one."
        )
    if not (_home() / ".complete").exists() and shutil.which("mvn") is None:
        return "OpenSearch is fetched with Maven, and there is no mvn on the PATH: install Maven."
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
    """Run a server for as long as the context lasts. It listens on 127.0.0.1 only and has no passwords. The first call
    fetches 200 MB.

    Ctrl-C in a terminal does not reach it: the end of the context ends it, after everything that uses it.

    Args:
        state: a folder that keeps its content from one run to the next, and its logs.
        port: the port to listen on. None takes a free one.
        heap: the heap of the Java virtual machine. The process takes about 300 MB more.
        brief: whether it runs for a short time only. Its code is then compiled quickly rather than well, which halves
            the work of a start.
        ready: the maximum time until it answers, in seconds.
        patience: the time to end, in seconds. After that it is killed.

    Raises:
        Misconfigured: the port is in use, something is not installed, or the server did not start. The message says
            what to do.
    """
    if port is not None:
        check_free(port, user="OpenSearch", setting="PORT (make opensearch PORT=9201)")
    port = port or free_port()
    home = install()
    folder = _prepare_folder(state, home, port)
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
    process = start(command, environment, log, folder=home, user=_user())
    try:
        url = f"http://{HOST}:{port}"
        await_health("OpenSearch", process, f"{url}/_cluster/health?wait_for_status=yellow&timeout=5s", log, ready)
        yield OpenSearch(url, process)
    finally:
        end(process, patience)


def install() -> Path:
    """The folder with the unpacked server. The first call fetches and unpacks it.

    Raises:
        Misconfigured: Java or Maven is not installed, or Maven did not fetch the right archives.
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
                    _unpack(archive, _fetch(archive, Path(temporary)), draft)
                (draft / ".complete").touch()
                draft.rename(home)
    return home


def _home() -> Path:
    if _is_root():
        return _ROOT_FOLDER / f"home-{VERSION}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return cache / "penstock" / f"opensearch-{VERSION}"


def _is_root() -> bool:
    return os.geteuid() == 0


def _user() -> int | None:
    """The user that the server runs as. None means the user of this process."""
    return _NOBODY if _is_root() else None


def _java() -> Path | None:
    """The folder of a Java that is new enough. None if there is none."""
    configured = [Path(os.environ[name]) for name in ("OPENSEARCH_JAVA_HOME", "JAVA_HOME") if os.environ.get(name)]
    found = [home for folder, pattern in _JAVAS for home in sorted(Path(folder).expanduser().glob(pattern))]
    return next((home for home in [*configured, *found] if _java_version(home) >= MIN_JAVA), None)


def _java_version(home: Path) -> int:
    try:
        version = re.search(r'^JAVA_VERSION="(\d+)', (home / "release").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(version[1]) if version and (home / "bin" / "java").exists() else 0


def _fetch(archive: Archive, into: Path) -> Path:
    """Fetch an archive with Maven. Maven keeps it in its own repository, so that a second try is quick."""
    group, artifact, version, kind = archive.coordinate.split(":")
    path = into / f"{artifact}-{version}.{kind}"
    maven = subprocess.run(  # noqa: S603 - no shell, and nothing a user typed
        [  # noqa: S607 - the mvn that the user has
            "mvn",
            "-B",
            "-q",
            "-ntp",
            "-Dstyle.color=never",
            _MAVEN_COPY,
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
        raise Misconfigured(why=f"Maven did not fetch {group}:{artifact}: {(maven.stdout + maven.stderr)[-500:]}")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != archive.sha256:
        why = f"{archive.coordinate} has the sha256 {found} instead of {archive.sha256}, so it was not unpacked."
        raise Misconfigured(why=why)
    return path


def _unpack(archive: Archive, path: Path, home: Path) -> None:
    with zipfile.ZipFile(path) as zipped:
        for each in zipped.infolist():
            inside = each.filename.removeprefix(archive.root)
            if each.is_dir() or inside.startswith(_UNUSED):
                continue
            target = home / archive.folder / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            with zipped.open(each) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file)
    path.unlink()


def _prepare_folder(state: Path, home: Path, port: int) -> Path:
    """Make the folder of one server, with its configuration."""
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
    """The folder itself or, if the server has to run as the user nobody, one that this user can reach.

    `state` is then a link to it. Removing the link removes the state: the next run starts with an empty folder.
    """
    if not _is_root():
        return state
    target = _ROOT_FOLDER / hashlib.sha256(str(state).encode()).hexdigest()[:16]
    if not state.is_symlink():
        shutil.rmtree(target, ignore_errors=True)
        state.parent.mkdir(parents=True, exist_ok=True)
        state.symlink_to(target)
    target.mkdir(parents=True, exist_ok=True)
    return target


def _command(home: Path, folder: Path, environment: Mapping[str, str]) -> list[str]:
    """The command that bin/opensearch would run, without the four small virtual machines that it runs first."""
    java = _java()
    assert java is not None, "install has checked it"
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
        raise Misconfigured(why=f"{java} cannot start OpenSearch: {parsed.stderr[-500:].strip()}")
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
    """Run a server until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=9200)
    parser.add_argument("--state", type=Path, default=Path(".penstock/opensearch"))
    parser.add_argument("--heap", default=HEAP)
    arguments = parser.parse_args()

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)  # a shell starts background processes with SIGINT ignored
    print("Starting OpenSearch; the first start fetches it …")
    try:
        with opensearch(arguments.state, port=arguments.port, heap=arguments.heap) as server:
            print(
                f"OpenSearch {VERSION} is ready. Ctrl-C ends it. For Penstock, and for its tests and benchmarks:\n\n"
                f"    export PENSTOCK_INDEX=opensearch PENSTOCK_INDEX_URL={server.url}\n"
                f"    export OPENSEARCH_URL={server.url}\n",
                flush=True,
            )
            sys.exit(server.process.wait())
    except Misconfigured as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print("OpenSearch has ended.")


if __name__ == "__main__":
    main()
