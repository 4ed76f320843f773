"""The embedded search index: SQLite FTS5 for words, exact cosines in memory for vectors, one file per tenant."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from penstock.adapters.sqlite.file import TenantFile
from penstock.domain.chunk import (
    Candidate,
    Candidates,
    Chunk,
    Count,
    Entry,
    IndexQuery,
    Space,
    TextHash,
    Vector,
    labels,
    metadata_of,
)
from penstock.domain.ids import BuildId, DocumentId, TenantId, tenant_id
from penstock.search.words import terms_of

ROWS_AT_ONCE = 500
"""The maximum number of rows in one write transaction, so that other writers get their turn and the write-ahead log
stays small."""
MOST_TENANTS = 64
"""The maximum number of tenants whose files a process keeps open, with their vectors in memory."""

_COLUMNS = (
    "document, generation, build, ordinal, first_page, last_page, breaks, paged, hash, source, name, section, "
    "metadata, text, vector"
)
_INSERT = f"INSERT INTO entries ({_COLUMNS}, terms) VALUES ({', '.join('?' * 16)})"  # noqa: S608 - constants, as all here
_SELECT = f"SELECT row, {_COLUMNS} FROM entries WHERE row IN (SELECT value FROM json_each(?))"  # noqa: S608
_DELETE = "DELETE FROM entries WHERE document = ? AND generation = ? AND build = ? AND ordinal = ?"
_CLEAR = """
    DELETE FROM entries WHERE row IN (
        SELECT row FROM entries
        WHERE document = :document
        AND (:generation IS NULL OR (generation, build) < (:generation, :build))
        AND (:kept_generation IS NULL OR (generation, build) != (:kept_generation, :kept_build))
        LIMIT :limit
    )
"""
_BUILDS_AT_ONCE = 500
_BUILDS = """
    SELECT document, generation, build, count(*), count(vector) FROM entries
    WHERE {} GROUP BY document, generation, build ORDER BY document, generation, build LIMIT ?
"""
_BUILDS_OF_ALL = _BUILDS.format("(document, generation, build) > (?, ?, ?)")
_BUILDS_OF_ONE = _BUILDS.format("document = ? AND (generation, build) > (?, ?)")
_KNOWN = """
    SELECT value, (SELECT vector FROM entries WHERE hash = value AND vector IS NOT NULL LIMIT 1)
    FROM json_each(?)
"""


class SqliteIndex:
    """A SearchIndex in a folder. Each tenant has a file of its own, so that isolation needs no filter and the
    statistics of words reveal nothing about other tenants. It is safe with many threads and processes.

    Each process that searches holds the vectors in memory, 1 KB a chunk at 256 dimensions. This limits the size of an
    index that it is good for.
    """

    def __init__(self, folder: Path, space: Space) -> None:
        self._folder = folder
        self._space = space
        self._opened: dict[int, _OpenFiles] = {}

    def known_vectors(self, tenant: TenantId, hashes: Sequence[TextHash]) -> Mapping[TextHash, Vector]:
        with self._file(tenant).reading() as db:
            found = [] if db is None else db.execute(_KNOWN, (json.dumps(hashes),))
            return {TextHash(known): _vector(blob) for known, blob in found if blob is not None}

    def put(self, tenant: TenantId, entries: Sequence[Entry]) -> None:
        """A row whose id exists already is removed and added, never changed: so a row number always stands for one
        content."""
        file = self._file(tenant)
        for start in range(0, len(entries), ROWS_AT_ONCE):
            rows = {entry.id: _row(entry) for entry in entries[start : start + ROWS_AT_ONCE]}
            with file.writing() as db:
                db.executemany(_DELETE, [row[:4] for row in rows.values()])
                db.executemany(_INSERT, list(rows.values()))

    def refresh(self, tenant: TenantId) -> None:
        """What is committed is visible anyway to every transaction that starts later. But this waits until it could
        write, and fails if it cannot, as the port promises."""
        file = self._file(tenant)
        if file.exists():
            with file.writing():
                pass

    def count(self, tenant: TenantId, document: DocumentId, build_id: BuildId) -> Count:
        statement = "SELECT count(*), count(vector) FROM entries WHERE document = ? AND generation = ? AND build = ?"
        with self._file(tenant).reading() as db:
            if db is None:
                return Count(0, 0)
            return Count(*db.execute(statement, (document, build_id.generation, build_id.build)).fetchone())

    def without_vector(self, tenant: TenantId, document: DocumentId, build_id: BuildId, limit: int) -> Sequence[int]:
        statement = """
            SELECT ordinal FROM entries WHERE document = ? AND generation = ? AND build = ? AND vector IS NULL
            ORDER BY ordinal LIMIT ?
        """
        with self._file(tenant).reading() as db:
            found = [] if db is None else db.execute(statement, (document, build_id.generation, build_id.build, limit))
            return [ordinal for (ordinal,) in found]

    def builds(
        self, tenant: TenantId, document: DocumentId | None = None
    ) -> Iterator[tuple[DocumentId, BuildId, Count]]:
        statement = _BUILDS_OF_ALL if document is None else _BUILDS_OF_ONE
        after: tuple[str, int, int] = (document or "", 0, 0)
        while True:
            with self._file(tenant).reading() as db:
                found = [] if db is None else db.execute(statement, (*after, _BUILDS_AT_ONCE)).fetchall()
            for each in found:
                yield DocumentId(each[0]), BuildId(each[1], each[2]), Count(each[3], each[4])
            if len(found) < _BUILDS_AT_ONCE:
                return
            after = found[-1][:3]

    def clear(
        self, tenant: TenantId, document: DocumentId, *, older_than: BuildId | None = None, keep: BuildId | None = None
    ) -> int:
        which = {
            "document": document,
            "generation": older_than and older_than.generation,
            "build": older_than and older_than.build,
            "kept_generation": keep and keep.generation,
            "kept_build": keep and keep.build,
            "limit": ROWS_AT_ONCE,
        }
        file = self._file(tenant)
        removed = 0
        while file.exists():
            with file.writing() as db:
                gone = db.execute(_CLEAR, which).rowcount
            removed += gone
            if gone < ROWS_AT_ONCE:
                break
        return removed

    def candidates(self, tenant: TenantId, query: IndexQuery) -> Candidates:
        """Search in one transaction, so that words, vectors and entries are of one state of the file."""
        from penstock.adapters.sqlite.arms import best_by_vectors, best_by_words  # noqa: PLC0415 - imports numpy, which only a search needs

        with self._file(tenant).searching() as state:
            if state is None:
                return Candidates((), 0.0)
            db, matrix = state
            nearest = [] if query.vector is None else best_by_vectors(db, matrix, query.vector, query)
            bm25 = best_by_words(db, query, nearest)
            rows = sorted({*nearest, *bm25})
            cosines: dict[int, float] = {}
            mean = 0.0
            if query.vector is not None:
                places = matrix.places_of(rows)
                measured = matrix.cosines(places, query.vector)
                cosines = dict(zip(matrix.rows[places].tolist(), measured.tolist(), strict=True))
                mean = matrix.mean_cosine(query.vector)
            return Candidates(
                tuple(Candidate(entry, bm25.get(row, 0.0), cosines.get(row)) for row, entry in _entries(db, rows)), mean
            )

    def check(self) -> None:
        for path in sorted(self._folder.glob("*.sqlite")):
            file = TenantFile(path, self._space)
            file.check()
            file.close()

    def _file(self, tenant: TenantId) -> TenantFile:
        """The tenant's file, opened by this process. Files that were opened before a fork belong to the parent: they
        are neither used nor closed here."""
        path = self._folder / f"{tenant_id(tenant)}.sqlite"
        return self._opened.setdefault(os.getpid(), _OpenFiles()).get(path, self._space)


class _OpenFiles:
    """The files of the tenants that were used last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: OrderedDict[Path, TenantFile] = OrderedDict()

    def get(self, path: Path, space: Space) -> TenantFile:
        with self._lock:
            if path not in self._files:
                self._files[path] = TenantFile(path, space)
            file = self._files[path]
            self._files.move_to_end(path)
            oldest = self._files.popitem(last=False)[1] if len(self._files) > MOST_TENANTS else None
        if oldest is not None:
            oldest.close()
        return file


def _row(entry: Entry) -> tuple[object, ...]:
    chunk = entry.chunk
    return (
        entry.document,
        entry.build_id.generation,
        entry.build_id.build,
        chunk.ordinal,
        chunk.first_page,
        chunk.last_page,
        json.dumps(chunk.breaks),
        entry.paged,
        entry.hash,
        entry.source,
        entry.name,
        json.dumps(chunk.section),
        json.dumps(labels(entry.metadata)),
        chunk.text,
        None if entry.vector is None else entry.vector.astype("<f4").tobytes(),
        " ".join(terms_of(chunk.text)),
    )


def _entries(db: sqlite3.Connection, rows: Collection[int]) -> Iterator[tuple[int, Entry]]:
    cursor = db.cursor()
    cursor.row_factory = sqlite3.Row
    for row in cursor.execute(_SELECT, (json.dumps(list(rows)),)):
        section = tuple(json.loads(row["section"]))
        breaks = tuple((offset, page) for offset, page in json.loads(row["breaks"]))
        entry = Entry(
            document=DocumentId(row["document"]),
            build_id=BuildId(row["generation"], row["build"]),
            chunk=Chunk(row["ordinal"], row["text"], row["first_page"], row["last_page"], section, breaks),
            hash=TextHash(row["hash"]),
            vector=None if row["vector"] is None else _vector(row["vector"]),
            name=row["name"],
            source=row["source"],
            paged=bool(row["paged"]),
            metadata=metadata_of(json.loads(row["metadata"])),
        )
        yield row["row"], entry


def _vector(blob: bytes) -> Vector:
    import numpy as np  # noqa: PLC0415 - putting, counting and clearing need no numpy

    return np.frombuffer(blob, "<f4")
