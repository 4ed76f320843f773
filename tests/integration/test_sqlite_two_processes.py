"""The embedded index, used by the API and workers at once: several processes share one file."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from penstock.adapters.sqlite.index import SqliteIndex
from penstock.domain.chunk import Chunk, Count, Entry, IndexQuery, Space, Vector
from penstock.domain.ids import BuildId, DocumentId, TenantId

SPACE = Space("letters", 8)
ACME = TenantId("acme")
SECONDS = 30.0
NORTH: Vector = np.eye(8, dtype=np.float32)[0]


def entries(document: str, generation: int, number: int) -> list[Entry]:
    return [
        Entry(
            document=DocumentId(document),
            build_id=BuildId(generation, 1),
            chunk=Chunk(ordinal, f"water {document} {generation} {ordinal}", 1, 1),
            hash=SPACE.text_hash(f"{document} {generation} {ordinal}"),
            vector=NORTH,
            name=document,
            source="api",
            paged=False,
        )
        for ordinal in range(number)
    ]


def found(index: SqliteIndex) -> list[tuple[str, int]]:
    """The document and generation of all hits, which must be the same by words and by vectors."""
    by_words, by_vectors = (
        sorted((c.entry.document, c.entry.build_id.generation) for c in index.candidates(ACME, query).found)
        for query in (IndexQuery({"water": 1}, None, 1000), IndexQuery({}, NORTH, 1000))
    )
    assert by_words == by_vectors
    return by_words


def assert_sound(folder: Path) -> None:
    """Run the integrity checks of SQLite and FTS5 on the file."""
    with closing(sqlite3.connect(folder / "acme.sqlite")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.execute("INSERT INTO words (words, rank) VALUES ('integrity-check', 1)")


def start(kind: str, target: Callable[..., None], *arguments: object) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context(kind).Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def finish(process: multiprocessing.process.BaseProcess) -> None:
    process.join(SECONDS)
    alive = process.is_alive()
    process.kill()
    assert not alive
    assert process.exitcode == 0


def put_on_signal(folder: Path, document: str, pipe: Connection) -> None:
    index = SqliteIndex(folder, SPACE)
    pipe.send("ready")
    pipe.recv()
    for generation in range(1, 21):
        index.put(ACME, entries(document, generation, 10))


def test_processes_that_begin_an_index_at_the_same_moment_share_it(tmp_path: Path) -> None:
    pipes = {document: multiprocessing.Pipe() for document in ("a", "b", "c")}
    processes = [start("spawn", put_on_signal, tmp_path, each, there) for each, (_, there) in pipes.items()]
    try:
        for here, _ in pipes.values():
            assert here.poll(SECONDS)
            here.recv()
        for here, _ in pipes.values():
            here.send("go")
    finally:
        for process in processes:
            finish(process)
    assert len(found(SqliteIndex(tmp_path, SPACE))) == 3 * 20 * 10
    assert {path.name for path in tmp_path.iterdir()} <= {"acme.sqlite", "acme.sqlite-wal", "acme.sqlite-shm"}
    assert_sound(tmp_path)


def replace(folder: Path, pipe: Connection) -> None:
    index = SqliteIndex(folder, SPACE)
    while generation := pipe.recv():
        index.put(ACME, entries("doc", generation, 5))
        index.clear(ACME, DocumentId("doc"), older_than=BuildId(generation, 1))
        pipe.send("done")


def test_a_process_that_searches_follows_what_another_writes(tmp_path: Path) -> None:
    """Its vectors in memory equal those of the file at each question, after additions and removals."""
    here, there = multiprocessing.Pipe()
    process = start("spawn", replace, tmp_path, there)
    reader = SqliteIndex(tmp_path, SPACE)
    try:
        for generation in range(1, 21):
            here.send(generation)
            assert here.poll(SECONDS)
            here.recv()
            assert found(reader) == [("doc", generation)] * 5
    finally:
        here.send(0)
        finish(process)


def put_and_search(index: SqliteIndex, pipe: Connection) -> None:
    index.put(ACME, entries("child", 1, 5))
    pipe.send(found(index))


def test_an_index_that_was_in_use_before_a_fork_serves_both_sides(tmp_path: Path) -> None:
    """The child does not use its parent's connections and locks, in whatever state the fork found them."""
    index = SqliteIndex(tmp_path, SPACE)
    index.put(ACME, entries("parent", 1, 5))
    assert found(index) == [("parent", 1)] * 5
    here, there = multiprocessing.Pipe()
    with index._opened[os.getpid()]._lock:
        process = start("fork", put_and_search, index, there)
    finish(process)
    both = [("child", 1)] * 5 + [("parent", 1)] * 5
    assert here.recv() == both
    assert found(index) == both
    index.put(ACME, entries("parent", 2, 5))
    assert len(found(index)) == 15
    assert_sound(tmp_path)


def put_for_ever(folder: Path, pipe: Connection) -> None:
    index = SqliteIndex(folder, SPACE)
    for generation in range(1, 100_000):
        index.put(ACME, entries("doc", generation, 100))
        pipe.send(generation)


@pytest.mark.parametrize("puts", [1, 4, 9])
def test_a_killed_writer_leaves_whole_puts_and_an_index_that_works(tmp_path: Path, puts: int) -> None:
    here, there = multiprocessing.Pipe()
    process = start("spawn", put_for_ever, tmp_path, there)
    index = SqliteIndex(tmp_path, SPACE)
    done = 0
    while done < puts:
        assert here.poll(SECONDS)
        done = here.recv()
    process.kill()
    process.join(SECONDS)
    while here.poll():
        done = here.recv()
    for generation in range(1, done + 1):
        assert index.count(ACME, DocumentId("doc"), BuildId(generation, 1)) == Count(100, 100)
    assert index.count(ACME, DocumentId("doc"), BuildId(done + 1, 1)) in {Count(0, 0), Count(100, 100)}
    index.put(ACME, entries("next", 1, 5))
    answer = index.candidates(ACME, IndexQuery({"next": 1}, None, 1000))
    assert [each.entry.document for each in answer.found] == ["next"] * 5
    assert_sound(tmp_path)
