"""The index file of one tenant: its schema, its connections and transactions, and the meaning of its errors."""

from __future__ import annotations

import json
import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.adapters.sqlite.schema import FORMAT, REMOVALS_KEPT, SCHEMA
from penstock.domain.chunk import Space
from penstock.domain.errors import EmbedderChanged, Misconfigured, Transient
from penstock.search.words import holds_phrase

if TYPE_CHECKING:  # imports numpy, and only a search needs it
    from penstock.adapters.sqlite.matrix import Matrix, VectorCache

BUSY_SECONDS = 10.0
"""How long a connection waits for another's transaction, in seconds."""
MOST_IDLE = 8
"""The maximum number of connections that are kept open for the next caller."""

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_FORBIDDEN = {sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_AUTH}
_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_SCHEMA,
}


class TenantFile:
    """The connections to one file, each used by one thread at a time, and the vectors in the file. It belongs to the
    process that made it: neither connections nor vectors may be carried over a fork."""

    def __init__(self, path: Path, space: Space, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self.path = path
        self._space = space
        self._idle: list[sqlite3.Connection] = []
        self._busy_seconds = busy_seconds
        self._closed = False

    def exists(self) -> bool:
        return self.path.exists()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """A transaction that sees one state of the file throughout. It is None where there is no file yet."""
        with self._errors_translated():
            if not self.exists():
                yield None
                return
            with self._connection() as db:
                db.execute("BEGIN")
                yield db
                db.execute("COMMIT")

    @cached_property
    def _vectors(self) -> VectorCache:
        from penstock.adapters.sqlite.matrix import VectorCache  # noqa: PLC0415 - imports numpy

        return VectorCache(self._space.dimensions)

    @contextmanager
    def searching(self) -> Iterator[tuple[sqlite3.Connection, Matrix] | None]:
        """A transaction as `reading` gives it, together with the vectors of that state of the file."""
        with self._errors_translated():
            if not self.exists():
                yield None
                return
            with self._connection() as db:
                yield db, self._vectors.begin_transaction(db)
                db.execute("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that takes the write lock at once. It is committed at the end of the block, unless by an
        exception."""
        with self._errors_translated():
            if not self.exists():
                self._create()
            with self._connection() as db:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")

    def check(self) -> None:
        """Check that the file can be used.

        Raises:
            EmbedderChanged, Misconfigured, Transient: it cannot; see the error.
        """
        with self.reading():
            pass

    def close(self) -> None:
        """Close the connections. Those in use are closed when their block ends."""
        self._closed = True
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            db = self._idle.pop()
        except IndexError:
            db = self._open()
        try:
            yield db
        except BaseException:
            db.close()  # rolls back; a connection that may be broken is not used again
            raise
        if self._closed or len(self._idle) >= MOST_IDLE:
            db.close()
        else:
            self._idle.append(db)

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=self._busy_seconds,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA cache_size = -8000")
            db.create_function("holds", 2, _holds, deterministic=True)
            self._check(db)
        except BaseException:
            db.close()
            raise
        return db

    def _check(self, db: sqlite3.Connection) -> None:
        (found,) = db.execute("PRAGMA user_version").fetchone()
        if found != FORMAT:
            raise Misconfigured(
                why=f"The index file {self.path} has format {found}, and this version of Penstock reads {FORMAT}. "
                "Move it away and add the tenant's documents again."
            )
        stored = Space(*db.execute("SELECT model, dimensions FROM space").fetchone())
        if stored != self._space:
            raise EmbedderChanged(stored=stored, configured=self._space)

    def _create(self) -> None:
        """Make the file under another name and link it, so that it appears whole or not at all: of two processes that
        do this at once one wins, and no reader sees half a schema."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(f".{uuid.uuid4().hex}.draft")
        try:
            with closing(sqlite3.connect(draft, isolation_level=None)) as db:
                db.execute("PRAGMA journal_mode = WAL")
                db.executescript(SCHEMA.format(vector_bytes=4 * self._space.dimensions, removals_kept=REMOVALS_KEPT))
                db.execute("INSERT INTO space VALUES (?, ?)", (self._space.model, self._space.dimensions))
                db.execute(f"PRAGMA user_version = {FORMAT}")
            with suppress(FileExistsError):
                os.link(draft, self.path)
        finally:
            draft.unlink(missing_ok=True)

    @contextmanager
    def _errors_translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = (
                getattr(error, "sqlite_errorcode", 0) & 0xFF
            )  # the low byte is the kind of error; the rest refines it
            if code in _PASSING:
                raise Transient(why=f"the index file {self.path.name} did not answer ({error})") from error
            if code in _DAMAGED:
                raise Misconfigured(
                    why=f"The index file {self.path} is damaged ({error}). Stop Penstock, move the file away together "
                    "with its -wal and -shm, and add the tenant's documents again."
                ) from error
            if code in _FORBIDDEN:
                raise Misconfigured(
                    why=f"The index file {self.path} may not be written ({error}). Give this user the right to write "
                    "the file and its folder."
                ) from error
            raise
        except (PermissionError, FileExistsError, NotADirectoryError) as error:
            raise Misconfigured(
                why=f"The index folder {self.path.parent} cannot be used ({error}). Let it be a folder that this user "
                "may write to, or set PENSTOCK_INDEX_PATH to another."
            ) from error
        except OSError as error:
            raise Transient(why=f"the index folder {self.path.parent} did not answer ({error})") from error


def _holds(text: str, phrases: str) -> bool:
    """The SQL function `holds`: whether a text has all of the phrases of a JSON list."""
    return all(holds_phrase(text, phrase) for phrase in json.loads(phrases))
