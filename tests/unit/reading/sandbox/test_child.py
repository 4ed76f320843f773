"""The child process that opens files: its limits, its end, and which of its answers its parent believes."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import pytest

import penstock
from penstock.domain.errors import LimitHit, Permanent, ReaderDied, Transient, Unreadable
from penstock.domain.ids import tenant_id
from penstock.reading.limits import ReadLimits
from penstock.reading.protocol import Failed
from penstock.reading.report import report
from penstock.reading.sandbox.child import answer
from penstock.reading.sandbox.child_process import frame_of
from penstock.reading.sandbox.child_reading import ChildReading, error_of
from penstock.reading.sandbox.reader import ChildReader
from tests.support.pdf_files import bomb_pdf, long_pdf, pdf
from tests.support.sample_files import MAKERS

WAIT = 30
"""The maximum time that anything here may take, in seconds."""


def read(path: Path, **limits: float) -> int:
    """Read a file, and return the number of its pages."""
    reader = ChildReader(ReadLimits(**({"seconds": WAIT} | limits)))  # type: ignore[arg-type]
    with reader.read(path, name=path.name, declared=None) as reading:
        return sum(1 for _ in reading)


def saved(folder: Path, content: bytes, name: str = "a.pdf") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def pipe(folder: Path) -> Path:
    """A file that blocks the process that opens it."""
    path = folder / "pipe.pdf"
    os.mkfifo(path)
    return path


def is_alive(process: int) -> bool:
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False)
    return found.stdout.strip()[:1] not in {"", "Z"}


def wait_for_end(process: int) -> None:
    deadline = time.monotonic() + WAIT
    while is_alive(process):
        assert time.monotonic() < deadline, "it is still there"
        time.sleep(0.01)


def parent_of(process: int) -> int:
    found = subprocess.run(["ps", "-o", "ppid=", "-p", str(process)], capture_output=True, text=True, check=True)
    return int(found.stdout)


def cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def process_of(reading: ChildReading) -> int:
    return reading._child.pid


def test_a_long_document_comes_page_by_page(tmp_path: Path) -> None:
    path = saved(tmp_path, long_pdf(40))
    with ChildReader().read(path, name="a.pdf", declared=None) as reading:
        for number, page in enumerate(reading, 1):
            assert page.number == number
            assert f"page-{number:05}-mark" in page.text
    assert reading.pages == 40


@pytest.mark.invariant("I11")
def test_a_file_that_takes_too_long_hits_the_limit_that_is_named(tmp_path: Path) -> None:
    """I11: wall time."""
    with pytest.raises(LimitHit, match="PENSTOCK_EXTRACT_SECONDS"):
        read(pipe(tmp_path), seconds=0.5)


@pytest.mark.invariant("I11")
@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no limit of the address space")
def test_a_file_that_takes_too_much_memory_hits_the_limit_that_is_named(tmp_path: Path) -> None:
    """I11: memory."""
    path = saved(tmp_path, bomb_pdf(600 << 20))
    assert path.stat().st_size < 10_000
    with pytest.raises(LimitHit, match="PENSTOCK_EXTRACT_MEMORY_BYTES"):
        read(path, memory_bytes=268_435_456)


def test_the_least_memory_that_can_be_set_is_enough_for_a_plain_file(tmp_path: Path) -> None:
    assert read(saved(tmp_path, long_pdf(20)), memory_bytes=268_435_456) == 20


def test_more_pages_than_allowed_hit_the_limit_that_is_named(tmp_path: Path) -> None:
    with pytest.raises(LimitHit, match=r"2 pages .*PENSTOCK_EXTRACT_PAGES"):
        read(saved(tmp_path, pdf(["one", "two", "three"])), pages=2)


def test_more_characters_than_allowed_hit_the_limit_that_is_named(tmp_path: Path) -> None:
    with pytest.raises(LimitHit, match=r"10 characters .*PENSTOCK_EXTRACT_CHARS"):
        read(saved(tmp_path, b"eleven char", "a.txt"), chars=10)


def test_a_child_that_is_killed_costs_one_document(tmp_path: Path) -> None:
    reader = ChildReader(ReadLimits(seconds=WAIT))
    with reader.read(pipe(tmp_path), name="pipe.pdf", declared=None) as reading:
        os.kill(process_of(reading), signal.SIGKILL)
        with pytest.raises(ReaderDied, match="SIGKILL"):
            list(reading)
    assert read(saved(tmp_path, pdf(["next"]))) == 1


def test_a_fork_server_that_is_killed_costs_one_attempt(tmp_path: Path) -> None:
    reader = ChildReader(ReadLimits(seconds=WAIT))
    with reader.read(pipe(tmp_path), name="pipe.pdf", declared=None) as reading:
        child = process_of(reading)
        os.kill(parent_of(child), signal.SIGKILL)
        with pytest.raises(Transient):
            list(reading)
    wait_for_end(child)
    with reader.read(saved(tmp_path, b"next", "a.txt"), name="a.txt", declared=None) as reading:
        assert [page.text for page in reading] == ["next"]


def test_leaving_ends_the_child_whatever_it_was_doing(tmp_path: Path) -> None:
    with ChildReader().read(pipe(tmp_path), name="pipe.pdf", declared=None) as reading:
        process = process_of(reading)
        assert is_alive(process)
    assert not is_alive(process)


READ_FOR_EVER = """
import sys
from pathlib import Path
from penstock.reading.sandbox.reader import ChildReader

with ChildReader().read(Path(sys.argv[1]), name="pipe.pdf", declared=None) as reading:
    print(reading._child.pid, flush=True)
    list(reading)
"""


def test_no_child_outlives_its_parent(tmp_path: Path) -> None:
    command = [sys.executable, "-c", READ_FOR_EVER, str(pipe(tmp_path))]
    own_temporary = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=own_temporary) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    wait_for_end(child)


def test_a_daemonic_process_can_read(tmp_path: Path) -> None:
    """The processes of Celery's pool are daemonic, and may have no children of multiprocessing."""
    path = saved(tmp_path, pdf(["one", "two"]))
    process = multiprocessing.get_context("spawn").Process(target=_read_and_exit, args=(path,), daemon=True)
    process.start()
    process.join(WAIT)
    assert process.exitcode == 2


def _read_and_exit(path: Path) -> None:
    sys.exit(read(path))


@pytest.mark.invariant("I11")
@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="nobody but root can look into an undumpable process"
)
def test_the_child_has_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """I11."""
    monkeypatch.setenv("OPENAI_API_KEY", "not for files")
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    with ChildReader().read(pipe(tmp_path), name="pipe.pdf", declared=None) as reading:
        assert Path(f"/proc/{process_of(reading)}/environ").read_bytes() == b""


ATTACK = """
import ctypes, json, os, socket, sys
from penstock.reading.sandbox.confine import confine, undumpable
from penstock.reading.limits import ReadLimits

libc = ctypes.CDLL(None, use_errno=True)

def ptrace(parent):
    if libc.ptrace(16, parent, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")

ATTEMPTS = {
    "environment": lambda parent: open(f"/proc/{parent}/environ", "rb").read(),
    "memory": lambda parent: open(f"/proc/{parent}/mem", "rb").read(1),
    "ptrace": ptrace,
    "signal": lambda parent: os.kill(parent, 9),
    "socket": lambda _: socket.socket(),
    "local socket": lambda _: socket.socket(socket.AF_UNIX),
    "program": lambda _: os.execv("/bin/true", ["true"]),
    "process": lambda _: os.fork() or os._exit(0),
    "file": lambda _: os.write(os.open("written", os.O_CREAT | os.O_WRONLY), b"x"),
}

undumpable()
child = os.fork()
if child == 0:
    confine(ReadLimits())
    outcomes = {}
    for name, attempt in ATTEMPTS.items():
        try:
            attempt(os.getppid())
            outcomes[name] = "done"
        except OSError as error:
            outcomes[name] = os.strerror(error.errno)
    print(json.dumps(outcomes), flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.mark.invariant("I11")
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel offers none of this")
def test_a_child_that_was_left_in_the_midst_reads_no_other_file(tmp_path: Path) -> None:
    """I11: this happens when the document is cancelled."""
    reader = ChildReader(ReadLimits(seconds=WAIT))
    with reader.read(saved(tmp_path, pdf(["one", "two"])), name="a.pdf", declared=None) as reading:
        process = process_of(reading)
        next(iter(reading))
    assert not is_alive(process)


@pytest.mark.invariant("I11")
def test_a_child_that_a_file_took_over_gets_at_nothing_of_its_parent_and_at_no_network(tmp_path: Path) -> None:
    """I11: it runs as an ordinary user, or as root without root's capabilities, which the kernel treats alike."""
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    found = subprocess.run(
        [*drop, sys.executable, "-c", ATTACK], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert json.loads(found.stdout) == {
        "environment": "Permission denied",
        "memory": "Permission denied",
        "ptrace": "Operation not permitted",
        "signal": "Operation not permitted",
        "socket": "Operation not permitted",
        "local socket": "Operation not permitted",
        "program": "Operation not permitted",
        "process": "Operation not permitted",
        "file": "File too large",
    }


def processes(reader: ChildReader, path: Path, tenants: str) -> list[tuple[int, int]]:
    """The child that read this file for each of these tenants, one after the other, and its parent."""
    seen = []
    for tenant in tenants:
        with reader.read(path, name=path.name, declared=None, tenant=tenant_id(tenant)) as reading:
            list(reading)
            seen.append((process_of(reading), parent_of(process_of(reading))))
    return seen


@pytest.mark.invariant("I11")
def test_a_child_reads_several_files_and_is_replaced_in_time(tmp_path: Path) -> None:
    """I11."""
    reader = ChildReader(ReadLimits(seconds=WAIT, warm_files=2))
    path = saved(tmp_path, b"text", "a.txt")
    (first, warm), (second, same), (third, still) = processes(reader, path, "aaa")
    assert first == second != third
    assert warm == same == still
    assert not is_alive(first)
    assert is_alive(third)
    del reader
    assert not is_alive(third)
    assert not is_alive(warm)


@pytest.mark.invariant("I11")
def test_no_child_reads_files_of_two_tenants(tmp_path: Path) -> None:
    """I11: a file that takes over its child finds nothing of another tenant there."""
    reader = ChildReader(ReadLimits(seconds=WAIT))
    (a, _), (b, _), (again, _) = processes(reader, saved(tmp_path, b"text", "a.txt"), "aba")
    assert len({a, b, again}) == 3
    assert not is_alive(a)
    assert not is_alive(b)


@pytest.mark.invariant("I11")
def test_a_child_that_ran_into_a_limit_reads_no_other_file(tmp_path: Path) -> None:
    """I11."""
    reader = ChildReader(ReadLimits(seconds=WAIT, chars=3))
    with reader.read(saved(tmp_path, b"text", "a.txt"), name="a.txt", declared=None) as reading:
        process = process_of(reading)
        with pytest.raises(LimitHit):
            list(reading)
    assert not is_alive(process)


@pytest.mark.invariant("I11")
def test_files_that_cannot_be_read_leave_nothing_open_for_the_next(tmp_path: Path) -> None:
    """I11: one child reads more of them than it may have files open, and reports the same of each every time."""
    reader = ChildReader(ReadLimits(seconds=WAIT, open_files=20))
    docx = MAKERS["docx"]().content
    broken = {
        "started.pdf": b"%PDF-1.7\n",
        "junk.pdf": b"%PDF-1.7\n1 0 obj <</Type /Catalog>> endobj" + bytes(range(256)) * 20,
        "locked.pdf": pdf(["For some."], password="secret"),
        "cut.docx": docx[:40],
        "junk.zip": docx[-400:],
        "deep.xml": b"<a>" * 300,
    }
    outcomes: dict[str, set[tuple[str, ...]]] = {name: set() for name in broken}
    seen = set()
    for name in [*broken] * 8:
        with reader.read(saved(tmp_path, broken[name], name), name=name, declared=None) as reading:
            seen.add(process_of(reading))
            try:
                outcomes[name].add(tuple(page.problem or page.text for page in reading))
            except Permanent as error:
                outcomes[name].add((str(error),))
    assert len(seen) == 1
    assert all(len(each) == 1 for each in outcomes.values()), outcomes
    with reader.read(saved(tmp_path, docx, "a.docx"), name="a.docx", declared=None) as reading:
        assert any(page.text for page in reading)


def test_a_child_that_died_while_it_waited_costs_nothing(tmp_path: Path) -> None:
    reader = ChildReader(ReadLimits(seconds=WAIT))
    path = saved(tmp_path, b"text", "a.txt")
    [(process, _)] = processes(reader, path, "a")
    os.kill(process, signal.SIGKILL)
    wait_for_end(process)
    assert len(processes(reader, path, "a")) == 1


@pytest.mark.invariant("I11")
def test_the_processor_time_of_one_file_does_not_count_for_the_next(tmp_path: Path) -> None:
    """I11: each file takes far less processor time than the limit, and all of them together take more."""
    reader = ChildReader(ReadLimits(seconds=WAIT, cpu_seconds=1))
    path = saved(tmp_path, long_pdf(500))
    seen, spent = set(), 0.0
    while spent <= 2 and len(seen) < 2:
        with reader.read(path, name="a.pdf", declared=None) as reading:
            assert sum(1 for _ in reading) == 500
            seen.add(process_of(reading))
            spent = cpu_seconds(process_of(reading))
    assert len(seen) == 1


def test_children_leave_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    reader = ChildReader(ReadLimits(seconds=WAIT))
    path = saved(tmp_path, b"text", "a.txt")
    processes(reader, path, "ab")
    [folder] = tmp_path.glob("penstock-read-*")
    assert len(list(folder.iterdir())) == 1, "that of the child that lives"
    del reader
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.invariant("I11")
@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="nobody but root can look into an undumpable process"
)
def test_the_child_learns_where_the_interpreter_has_its_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Lambda it would not start without that. It is no secret (I11)."""
    monkeypatch.setenv("OPENAI_API_KEY", "not for files")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/var/lang/lib:/opt/lib")
    with ChildReader().read(pipe(tmp_path), name="pipe.pdf", declared=None) as reading:
        environment = Path(f"/proc/{process_of(reading)}/environ").read_bytes()
    assert environment == b"LD_LIBRARY_PATH=/var/lang/lib:/opt/lib\0"


READ_FROM_ELSEWHERE = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from penstock.reading.sandbox.reader import ChildReader

with ChildReader().read(Path(sys.argv[1]), name="a.pdf", declared=None) as reading:
    print(*(page.text for page in reading))
"""


def test_the_child_finds_code_and_libraries_where_its_parent_does(tmp_path: Path) -> None:
    """In Lambda they lie in /var/task and in /opt/python, which the interpreter does not search by itself. Here the
    interpreter is the one from which the virtual environment was made, which does not search that either."""
    bare = os.path.realpath(sys.executable)
    places = [str(Path(module.__file__).parents[1]) for module in (penstock, msgspec)]
    done = subprocess.run(
        [bare, "-I", "-c", READ_FROM_ELSEWHERE, str(saved(tmp_path, pdf(["far away"]))), *places],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "far away\n", done.stderr


@pytest.mark.invariant("I11")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has this flag")
def test_a_worker_can_make_itself_undumpable() -> None:
    """I11: so that a child of the same user cannot read its environment or memory."""
    program = """
import ctypes
from penstock.reading.sandbox.confine import undumpable
print(ctypes.CDLL(None).prctl(3))
undumpable()
print(ctypes.CDLL(None).prctl(3))
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["1", "0"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"frame": "other"}',
        b'{"frame": "text", "number": 1}',
        b'{"frame": "text", "number": "many", "text": ""}',
        b'{"frame": "text", "number": 1, "text": "\\ud800"}',
        b'{"frame": "text", "number": 1, "text": "\xff"}',
    ],
)
def test_an_answer_that_makes_no_sense_is_not_believed(body: bytes) -> None:
    with pytest.raises(ReaderDied):
        frame_of(body)


def test_an_error_that_no_file_can_cause_is_not_believed() -> None:
    assert error_of(Failed("conflict", {})).code == "reader_died"
    assert error_of(Failed("limit_hit", {})).code == "reader_died"
    assert error_of(Failed("unsupported_type", {"found": "x", "accepted": "y"})).code == "unsupported_type"


def test_a_library_that_fails_in_an_unforeseen_way_is_reported_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(saved(tmp_path, b"text"))
    request = {"path": path, "name": None, "declared": None, "limits": ReadLimits(), "first_page": 1, "pictures": False}
    (frame,) = answer(request)
    assert isinstance(frame, Failed)
    assert frame.code == "unreadable"
    assert "Traceback" not in str(error_of(frame))
    assert "Traceback" in capsys.readouterr().err, "the log has it"


def test_a_file_that_is_not_there_is_reported_as_an_error() -> None:
    with pytest.raises(Unreadable, match="No such file"):
        read(Path("nowhere.pdf"))


def test_a_report_holds_all_that_reading_gave(tmp_path: Path) -> None:
    path = saved(tmp_path, pdf(["One.", "Two."]), "named.txt")
    assert report(ChildReader(), path) == {
        "kind": "pdf",
        "engine": "pypdfium2",
        "pages": [{"number": 1, "text": "One."}, {"number": 2, "text": "Two."}],
        "warnings": ["The name ends in .txt, but the content is PDF."],
    }
