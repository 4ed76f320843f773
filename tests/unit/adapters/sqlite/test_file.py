"""What only the embedded index does: its stemming, its files, and the errors of a file that cannot be used."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest

from penstock.adapters.sqlite import file as sqlite_file
from penstock.adapters.sqlite import index as sqlite_index
from penstock.adapters.sqlite.index import SqliteIndex
from penstock.domain.chunk import Chunk, Entry, IndexQuery, Space, Vector
from penstock.domain.errors import BadRequest, Misconfigured, Transient
from penstock.domain.ids import BuildId, DocumentId, TenantId
from penstock.search.words import question_terms

SPACE = Space("letters", 8)
ACME = TenantId("acme")
NORTH: Vector = np.eye(8, dtype=np.float32)[0]


@pytest.fixture
def index(tmp_path: Path) -> SqliteIndex:
    return SqliteIndex(tmp_path, SPACE)


def entry(text: str, ordinal: int = 0, document: str = "doc") -> Entry:
    return Entry(
        DocumentId(document),
        BuildId(1, 1),
        Chunk(ordinal, text, 1, 1),
        SPACE.text_hash(text),
        NORTH,
        "n",
        "s",
        paged=True,
    )


def ordinals(index: SqliteIndex, text: str = "", vector: Vector | None = None) -> list[int]:
    query = IndexQuery(question_terms(text), vector, 100)
    return sorted(each.entry.chunk.ordinal for each in index.candidates(ACME, query).found)


def test_words_match_by_their_stems(index: SqliteIndex) -> None:
    index.put(ACME, [entry("The gauges were measured", 0), entry("gaunt", 1)])
    assert ordinals(index, "gauge") == [0]
    assert ordinals(index, "measuring") == [0]


def test_each_tenant_has_a_file_and_reading_makes_none(index: SqliteIndex, tmp_path: Path) -> None:
    ordinals(index, "water")
    index.clear(ACME, DocumentId("doc"))
    assert list(tmp_path.iterdir()) == []
    index.put(ACME, [entry("water")])
    index.put(TenantId("globex"), [entry("water")])
    assert {path.name for path in tmp_path.glob("*.sqlite")} == {"acme.sqlite", "globex.sqlite"}


@pytest.mark.invariant("I10")
def test_a_tenant_cannot_name_a_path(index: SqliteIndex) -> None:
    """I10."""
    with pytest.raises(BadRequest):
        index.put(TenantId("../globex"), [entry("water")])


def test_more_tenants_than_are_kept_open_are_served(index: SqliteIndex) -> None:
    tenants = [TenantId(f"t{n}") for n in range(sqlite_index.MOST_TENANTS + 5)]
    for tenant in tenants:
        index.put(tenant, [entry(f"water {tenant}")])
    for tenant in tenants:
        (found,) = index.candidates(tenant, IndexQuery({"water": 1}, NORTH, 10)).found
        assert found.entry.chunk.text == f"water {tenant}"


def test_a_reader_that_is_far_behind_reads_everything_again(index: SqliteIndex, tmp_path: Path) -> None:
    """The list of removals is finite. A process that missed its beginning still sees the true state."""
    index.put(ACME, [entry("water", n) for n in range(10)])
    assert ordinals(index, vector=NORTH) == list(range(10))
    with closing(sqlite3.connect(tmp_path / "acme.sqlite")) as db:
        db.execute("DELETE FROM entries WHERE ordinal < 5")
        db.execute("UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'removed'", (sqlite_file.REMOVALS_KEPT,))
        db.execute("DELETE FROM entries WHERE ordinal = 9")
        assert db.execute("SELECT count(*) FROM removed").fetchone() == (1,)
        db.commit()
    assert ordinals(index, vector=NORTH) == [5, 6, 7, 8]


def test_what_another_program_deletes_is_gone_from_answers(index: SqliteIndex, tmp_path: Path) -> None:
    index.put(ACME, [entry("water", n) for n in range(3)])
    assert ordinals(index, "water", NORTH) == [0, 1, 2]
    with closing(sqlite3.connect(tmp_path / "acme.sqlite")) as db:
        db.execute("DELETE FROM entries WHERE ordinal = 1")
        db.commit()
    assert ordinals(index, "water", NORTH) == [0, 2]


def test_a_vector_of_other_dimensions_is_not_stored(index: SqliteIndex) -> None:
    wrong = Entry(
        DocumentId("d"), BuildId(1, 1), Chunk(0, "x", 1, 1), SPACE.text_hash("x"), NORTH[:7], "n", "s", paged=True
    )
    with pytest.raises(sqlite3.IntegrityError):
        index.put(ACME, [wrong])
    assert ordinals(index, "x") == []


@pytest.mark.parametrize("damage", [b"no database at all" * 100, b""], ids=["garbage", "empty"])
def test_a_file_that_is_no_index_says_what_to_do(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "acme.sqlite").write_bytes(damage)
    for call in (SqliteIndex(tmp_path, SPACE).check, lambda: SqliteIndex(tmp_path, SPACE).put(ACME, [entry("x")])):
        with pytest.raises(Misconfigured, match=r"acme\.sqlite.*add\s+the\s+tenant's\s+documents\s+again"):
            call()


def test_a_file_that_is_damaged_in_its_middle_is_reported_and_does_not_crash(
    index: SqliteIndex, tmp_path: Path
) -> None:
    index.put(ACME, [entry(f"water {n} " * 50, n) for n in range(400)])
    path = tmp_path / "acme.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"\xff" * (len(whole) - 8192))
    with pytest.raises(Misconfigured, match="damaged"):
        SqliteIndex(tmp_path, SPACE).candidates(ACME, IndexQuery({"water": 1}, NORTH, 10))


@pytest.mark.invariant("I5", "I9")
def test_a_lock_that_is_held_too_long_is_reported_as_transient(index: SqliteIndex, tmp_path: Path) -> None:
    """I9: no error of sqlite3 leaves the adapter; I5: an error that may pass is Transient."""
    index.put(ACME, [entry("water")])
    file = sqlite_file.TenantFile(tmp_path / "acme.sqlite", SPACE, busy_seconds=0.01)
    with closing(sqlite3.connect(tmp_path / "acme.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Transient, match="locked"), file.writing():
            pass
        assert ordinals(index, "water") == [0], "readers do not wait for writers"
    file.close()


def test_a_refresh_waits_for_a_writers_turn(index: SqliteIndex, tmp_path: Path) -> None:
    """Otherwise a shard whose put failed would be paid for at each attempt while the file is locked."""
    index.refresh(ACME)
    assert not list(tmp_path.iterdir()), "where there is no file there is nobody to wait for"
    index.put(ACME, [entry("water")])
    done = Event()
    waiting = Thread(target=lambda: (index.refresh(ACME), done.set()))
    with closing(sqlite3.connect(tmp_path / "acme.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting.start()
        assert not done.wait(0.2)
        other.execute("COMMIT")
        assert done.wait(10)
    waiting.join()


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "index").write_text("a file where the folder should be")
    with pytest.raises(Misconfigured, match="PENSTOCK_INDEX_PATH"):
        SqliteIndex(tmp_path / "index", SPACE).put(ACME, [entry("water")])


def test_an_exception_in_a_transaction_leaves_nothing_behind(index: SqliteIndex, tmp_path: Path) -> None:
    index.put(ACME, [entry("water")])
    file = sqlite_file.TenantFile(tmp_path / "acme.sqlite", SPACE)

    def fail_half_way() -> None:
        with file.writing() as db:
            db.execute("DELETE FROM entries")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert ordinals(index, "water") == [0]
    file.close()
