"""How fast files are read: pages per second on one core, from the file to the body of the bulk request, and in
comparison.

    python -m benchmarks.extract [CORPUS] [--engines NAME,NAME…]   reads a folder of files, or long PDFs that it makes;
                                                                   prints a line of JSON and a table
    python -m benchmarks.extract --lengths 10,100,1000,10000       reads PDFs of these numbers of pages; prints time,
                                                                   requests and memory

Each engine runs in a process of its own, pinned to one core, over the same files in the same run. Times are processor
time, child processes included, so that other work of the machine is not counted. An engine reads all files once before
it is measured, so that loading libraries is not counted, and then as often as fits into a second. Other libraries are
measured if they are installed. They only read, while `penstock` also cuts, adds (stub) vectors and writes the body.

If pypdf was asked for a second opinion on some of the files, a second table leaves those files out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

DIMENSIONS = 1536
SHARD = 128
"""The number of chunks per request, to the embedder and to the index."""
LARGEST, OVERLAP = 4000, 400
_ROUNDS = 3
"""The number of measurements of each engine. The shortest one counts: other work of the machine only makes them
longer."""
_MADE, _MADE_PAGES = 4, 330
"""The number of PDFs that are made if no folder is given, and the number of pages of each."""
_MEBI = 1 << 20
_LOADING = 4
"""The time that the warm process has to load the rest of its libraries after all files were read once, in seconds."""
_LEAST = 1
"""The files are read again and again for at least this many seconds, because the processor time of child processes is
counted in hundredths of a second."""


@dataclass
class Measured:
    """The measurements of one engine that has read all files once."""

    pages: int = 0
    files: int = 0
    failed: int = 0
    characters: int = 0
    seconds: float = 0.0
    """The processor time in seconds, child processes included."""
    parts: dict[str, float] = field(default_factory=dict)
    """The processor time of the parent by step, in seconds. The rest of `seconds` is the child's."""
    requests: int = 0
    child_peak: int = 0
    """The peak memory of the child process, in bytes."""
    parent_peak: int = 0
    asked: list[str] = field(default_factory=list)
    """The files for which there was a second opinion, if the engine reports it."""

    def count(self, pages: Iterable[Any]) -> Iterator[Any]:
        for page in pages:
            self.pages += 1
            self.characters += len(page.text)
            yield page


Run = Callable[[Sequence[Path]], Measured]


class _Clock:
    """Adds up the processor time that each step takes in this process."""

    def __init__(self, parts: dict[str, float]) -> None:
        self._parts = parts

    def each(self, step: str, items: Iterable[Any]) -> Iterator[Any]:
        """Iterate over the items, and count the time that each takes to arrive."""
        iterator = iter(items)
        while True:
            began = time.process_time()
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self._parts[step] = self._parts.get(step, 0) + time.process_time() - began
            yield item


def penstock() -> Run:
    """Penstock's whole way from the file to the body of the request."""
    from penstock.domain.errors import Permanent
    from penstock.pipeline.split import split
    from penstock.reading.sandbox.reader import ChildReader

    reader = ChildReader()

    def run(files: Sequence[Path]) -> Measured:
        found = Measured()
        clock, index = _Clock(found.parts), _Index(found)
        for path in files:
            try:
                with reader.read(path, name=path.name, declared=None) as reading:
                    pages = found.count(clock.each("pipe", reading))
                    chunks = split(pages, largest=LARGEST, overlap=OVERLAP, fits=lambda _: True)
                    for chunk in clock.each("pipe and cut", chunks):
                        index.put(path.name, chunk)
            except Permanent:
                found.failed += 1
            index.send()
            found.child_peak = max(found.child_peak, reading.peak)
        found.parts["cut"] = found.parts.pop("pipe and cut", 0) - found.parts.get("pipe", 0)
        return found

    return run


class _Index:
    """Takes chunks, gives each full shard vectors, and writes the body of its request."""

    def __init__(self, found: Measured) -> None:
        import numpy as np

        self._found = found
        self._stubs = np.random.default_rng(1).random((SHARD, DIMENSIONS), dtype=np.float32)
        self._waiting: list[tuple[str, Any]] = []

    def put(self, name: str, chunk: Any) -> None:
        self._waiting.append((name, chunk))
        if len(self._waiting) == SHARD:
            self.send()

    def send(self) -> None:
        import numpy as np
        import orjson

        if not self._waiting:
            return
        parts, began = self._found.parts, time.process_time()
        stubs = self._stubs[: len(self._waiting)]
        vectors = stubs / np.linalg.norm(stubs, axis=1, keepdims=True)
        turned = time.process_time()
        lines = []
        for (name, chunk), vector in zip(self._waiting, vectors, strict=True):
            lines.append(orjson.dumps({"index": {"_id": f"{name}:{chunk.ordinal}"}}))
            body = {"text": chunk.text, "first_page": chunk.first_page, "vector": vector}
            lines.append(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY))
        assert b"\n".join(lines)
        parts["vectors"] = parts.get("vectors", 0) + turned - began
        parts["body"] = parts.get("body", 0) + time.process_time() - turned
        self._found.requests += 2  # one request to the embedder, one to the index
        self._waiting = []


def penstock_reader() -> Run:
    """Penstock's reading alone, through the child process and its pipes."""
    from penstock.reading.sandbox.reader import ChildReader

    reader = ChildReader()

    def read(path: Path) -> Iterator[str]:
        with reader.read(path, name=path.name, declared=None) as reading:
            yield from (page.text for page in reading)

    return partial(_over, read)


def penstock_in_process() -> Run:
    """Penstock's reading alone, without a child process. The difference to `penstock_reader` is the cost of the
    child."""
    from penstock.reading.formats.pdf import pdf
    from penstock.reading.limits import ReadLimits
    from penstock.reading.parts import read_whole
    from penstock.reading.protocol import Text
    from penstock.reading.source import Source

    asked: dict[Path, None] = {}
    reading = Path()

    class Noted(pdf.SecondOpinion):
        def opened(self) -> Any:
            asked[reading] = None
            return super().opened()

    pdf.SecondOpinion = Noted  # type: ignore[misc]

    def read(path: Path) -> Iterator[str]:
        nonlocal reading
        reading = path
        source = Source(path, path.name, None, ReadLimits())
        return (frame.text for frame in read_whole(source) if isinstance(frame, Text))

    def run(files: Sequence[Path]) -> Measured:
        found = _over(read, files)
        found.asked = list(map(str, asked))
        return found

    return run


def pypdfium2() -> Run:
    import pypdfium2

    def read(path: Path) -> Iterator[str]:
        document = pypdfium2.PdfDocument(path)
        for page in document:
            yield page.get_textpage().get_text_range()
        document.close()

    return partial(_over, read)


def pypdf() -> Run:
    from pypdf import PdfReader

    return partial(_over, lambda path: (page.extract_text() for page in PdfReader(path).pages))


def langchain() -> Run:
    from langchain_community.document_loaders import PyPDFLoader

    return partial(_over, lambda path: (page.page_content for page in PyPDFLoader(str(path)).lazy_load()))


def llama_index() -> Run:
    from llama_index.core import SimpleDirectoryReader

    return partial(_over, lambda path: (each.text for each in SimpleDirectoryReader(input_files=[path]).load_data()))


def haystack() -> Run:
    from haystack.components.converters import PyPDFToDocument

    converter = PyPDFToDocument()
    return partial(
        _over, lambda path: (each for one in converter.run([path])["documents"] for each in one.content.split("\f"))
    )


def unstructured() -> Run:
    from unstructured.partition.auto import partition

    def read(path: Path) -> Iterator[str]:
        pages: dict[int, list[str]] = {}
        for each in partition(str(path), strategy="fast"):
            pages.setdefault(each.metadata.page_number or 1, []).append(each.text)
        return ("\n".join(texts) for texts in pages.values())

    return partial(_over, read)


def markitdown() -> Run:
    from markitdown import MarkItDown

    reader = MarkItDown()
    return partial(_over, lambda path: iter(reader.convert(str(path)).text_content.split("\f")))


def kreuzberg() -> Run:
    from kreuzberg import extract_file_sync

    return partial(_over, lambda path: iter([extract_file_sync(str(path)).content]))


ENGINES: dict[str, tuple[Callable[[], Run], str]] = {
    "penstock": (penstock, "penstock"),
    "penstock-reader": (penstock_reader, "penstock"),
    "penstock-in-process": (penstock_in_process, "penstock"),
    "pypdfium2": (pypdfium2, "pypdfium2"),
    "pypdf": (pypdf, "pypdf"),
    "langchain": (langchain, "langchain_community"),
    "llama-index": (llama_index, "llama_index"),
    "haystack": (haystack, "haystack"),
    "unstructured": (unstructured, "unstructured"),
    "markitdown": (markitdown, "markitdown"),
    "kreuzberg": (kreuzberg, "kreuzberg"),
}
"""The engines, each with the module that it needs."""


def _over(read: Callable[[Path], Iterator[str]], files: Sequence[Path]) -> Measured:
    found = Measured()
    for path in files:
        try:
            for text in read(path):
                found.pages += 1
                found.characters += len(text)
        except Exception:  # noqa: BLE001 - a file that a library fails on is counted, whatever it raises
            found.failed += 1
    return found


def measure(engine: str, files: Sequence[Path]) -> dict[str, Any]:
    """Measure an engine in this process."""
    logging.disable(logging.CRITICAL)
    with suppress(AttributeError, OSError):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    run = ENGINES[engine][0]()
    run(files)
    if engine.startswith("penstock"):
        time.sleep(_LOADING)
    parts: Counter[str] = Counter()
    times, began, before = 0, time.monotonic(), _cpu()
    while not times or time.monotonic() - began < _LEAST:
        found = run(files)
        parts.update(found.parts)
        times += 1
    found.seconds = (_cpu() - before) / times
    found.parts = {step: seconds / times for step, seconds in parts.items()}
    found.files = len(files)
    unit = 1 if sys.platform == "darwin" else 1024
    found.parent_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {"engine": engine, **vars(found)}


def _cpu() -> float:
    """The processor time of this process and its children, in seconds. Work of other processes does not count."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    stats = [Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split() for each in _under(os.getpid())]
    ticks = sum(int(each) for stat in stats for each in stat[11:15])  # with its children that have ended
    return sum(each.ru_utime + each.ru_stime for each in both) + ticks / os.sysconf("SC_CLK_TCK")


def _under(process: int) -> Iterator[int]:
    living = Path(f"/proc/{process}/task/{process}/children")
    for each in map(int, living.read_text().split() if living.exists() else []):
        yield each
        yield from _under(each)


def apart(engine: str, files: Sequence[Path]) -> dict[str, Any]:
    """Measure an engine in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.extract", "--measure", engine, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"engine": engine, "error": (done.stderr.splitlines() or [f"exit code {done.returncode}"])[-1]}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def compare(corpus: Path, engines: Sequence[str]) -> None:
    files = sorted(path for path in corpus.rglob("*") if path.is_file())
    if any(path.suffix.lower() == ".pdf" for path in files):
        files = [path for path in files if path.suffix.lower() == ".pdf"]
    if not files:
        raise SystemExit(f"There are no files in {corpus}: name a folder that has some.")
    print("One core.", file=sys.stderr)
    results = _table(f"{len(files)} files", files, engines)
    asked = set(results.get("penstock-in-process", {}).get("asked", ()))
    others = [path for path in files if str(path) not in asked]
    tables = [results]
    if 0 < len(others) < len(files):
        tables.append(_table(f"The {len(others)} of them that need no second opinion by pypdf", others, engines))
    print(json.dumps([list(each.values()) for each in tables]))


def _table(title: str, files: Sequence[Path], engines: Sequence[str]) -> dict[str, dict[str, Any]]:
    pages = sum(map(_pages, files))
    rounds = [{engine: apart(engine, files) for engine in engines} for _ in range(_ROUNDS)]
    results = {
        engine: min((each[engine] for each in rounds), key=lambda found: found.get("seconds", 0)) for engine in engines
    }
    print(f"{title}:\n")
    columns = "engine | pages/s | ms/file | of pypdfium2 | pages | characters | failed | parent, MiB | child, MiB"
    print(f"| {columns} | share per step |")
    print("|---" * 10 + "|")
    bare = _rate(results.get("pypdfium2", {}), pages)
    for engine, found in results.items():
        if "error" in found:
            print(f"| {engine} | {found['error']} |" + "  |" * 8)
            continue
        speed = f"{_rate(found, pages):.0f} | {_each(found['seconds'], files):.2f}"
        share = f"{_rate(found, pages) / bare:.2f}" if bare else ""
        steps = found["parts"] and {"child": found["seconds"] - sum(found["parts"].values()), **found["parts"]}
        parts = ", ".join(f"{name} {100 * each / found['seconds']:.1f} %" for name, each in steps.items())
        peaks = f"{found['parent_peak'] // _MEBI} | {found['child_peak'] // _MEBI or ''}"
        counts = f"{found['pages']} | {found['characters']:,} | {found['failed']}"
        print(f"| {engine} | {speed} | {share} | {counts} | {peaks} | {parts} |")
    both = [
        (each["penstock-in-process"]["seconds"], each["penstock-reader"]["seconds"])
        for each in rounds
        if all("seconds" in each.get(f"penstock-{way}", {}) for way in ("in-process", "reader"))
    ]
    if both:
        shares = ", ".join(
            f"{100 * (1 - alone / through):.1f} % ({_each(through - alone, files):.2f} ms/file)"
            for alone, through in sorted(both, key=lambda pair: pair[1] / pair[0])
        )
        print(f"\nChild process and pipes, of reading, in each round: {shares}.\n")
    return results


def _each(seconds: float, files: Sequence[Path]) -> float:
    """The milliseconds that a file takes."""
    return 1000 * seconds / len(files)


def _pages(path: Path) -> int:
    """The number of pages of a PDF, by pdfium. Any other file counts as one page. Engines that give a file in one piece
    are measured by this number too."""
    import pypdfium2

    try:
        return len(pypdfium2.PdfDocument(path)) if path.suffix.lower() == ".pdf" else 1
    except pypdfium2.PdfiumError:
        return 0


def _rate(found: dict[str, Any], pages: int) -> float:
    return pages / found["seconds"] if found.get("seconds") else 0.0


def made(folder: Path) -> Path:
    """Write long PDFs into the folder, and return it. A page has 3,100 characters, as a full page has."""
    from tests.support.generated_prose import Prose
    from tests.support.pdf_files import pdf

    for number in range(_MADE):
        prose = Prose(number, headings=0)
        (folder / f"{number}.pdf").write_bytes(pdf(prose.text(3100) for _ in range(_MADE_PAGES)))
    return folder


def lengths(counts: Sequence[int]) -> None:
    print("| pages | seconds | pages/s | requests | parent, MiB | child, MiB |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            path = Path(folder) / f"{count}.pdf"
            # In a process of its own, so that writing the file does not count towards the cost of reading it.
            program = (
                "import sys, pathlib; sys.path.insert(0, '.'); from tests.support.pdf_files import long_pdf; "
                f"pathlib.Path({str(path)!r}).write_bytes(long_pdf({count}))"
            )
            subprocess.run([sys.executable, "-c", program], check=True)
            found = apart("penstock", [path])
            peaks = f"{found['parent_peak'] // _MEBI} | {found['child_peak'] // _MEBI}"
            rate = f"{found['seconds']:.3f} | {_rate(found, count):.0f}"
            print(f"| {count:,} | {rate} | {found['requests']} | {peaks} |", flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("corpus", nargs="*", type=Path)
    arguments.add_argument("--engines", default="")
    arguments.add_argument("--lengths", default="")
    arguments.add_argument("--measure", default="", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.measure:
        print(json.dumps(measure(given.measure, given.corpus)))
        return
    if given.lengths:
        lengths([int(each) for each in given.lengths.split(",")])
        return
    if len(given.corpus) > 1:
        arguments.error("name one folder of files")
    known = [name for name, (_, module) in ENGINES.items() if importlib.util.find_spec(module)]
    asked = given.engines.split(",") if given.engines else known
    unknown = [each for each in asked if each not in known]
    if unknown:
        arguments.error(f"not installed, or unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    with tempfile.TemporaryDirectory() as folder:
        compare(given.corpus[0] if given.corpus else made(Path(folder)), asked)


if __name__ == "__main__":
    main()
