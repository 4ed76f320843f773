"""The vectors of one tenant in memory. They follow the file by its additions and removals, and are not read again."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from penstock.adapters.sqlite.schema import REMOVALS_KEPT
from penstock.domain.chunk import Vector

Rows = npt.NDArray[np.int64]
Places = npt.NDArray[np.int64]
"""Indices into a Matrix."""
Vectors = npt.NDArray[np.float32]

QUICK_ERROR = 1e-4
"""The error that `Matrix.quick_cosines` may have. It is really less, for any number of dimensions that models have."""
READ_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Matrix:
    """The vectors of one state of the file. It does not change while a query uses it."""

    rows: Rows
    """The row numbers in the file, ascending, of shape (n,)."""
    buffer: Vectors
    """The first n rows are the vectors, of shape (at least n, dimensions). The others are free for vectors to come."""
    alive: npt.NDArray[np.bool_]
    """False where the row was removed since, of shape (n,)."""
    total: npt.NDArray[np.float64]
    """The sum of the vectors that were not removed, of shape (dimensions,)."""
    last_row: int = 0
    """The number of the last row that was ever added to the file, as of this state."""
    last_removal: int = 0
    """The number of the last removal of a row from the file, as of this state."""

    @classmethod
    def empty(cls, dimensions: int) -> Self:
        buffer = np.empty((0, dimensions), np.float32)
        return cls(np.empty(0, np.int64), buffer, np.empty(0, np.bool_), np.zeros(dimensions))

    @property
    def vectors(self) -> Vectors:
        """The vectors, of shape (n, dimensions)."""
        return self.buffer[: len(self.rows)]

    def quick_cosines(self, vector: Vector) -> Vectors:
        """The cosines of all rows with the vector, of shape (n,). Those of equal rows may differ in the last bits,
        depending on the place of the row: they are good for a first choice, not for an order."""
        return self.vectors @ vector

    def cosines(self, places: Places, vector: Vector) -> npt.NDArray[np.float64]:
        """The cosines of the rows in these places with the vector, of shape (len(places),). Those of equal rows are
        equal."""
        found: npt.NDArray[np.float64] = (self.vectors[places].astype(np.float64) * vector).sum(axis=1)
        return found

    def mean_cosine(self, vector: Vector) -> float:
        """The product of the vector with the mean of the vectors that were not removed. It is 0 where there are
        none."""
        living = int(np.count_nonzero(self.alive))
        return float(self.total @ vector) / living if living else 0.0

    def places_of(self, rows: Sequence[int]) -> Places:
        """The places of those of these rows that have a vector."""
        return np.flatnonzero(np.isin(self.rows, np.array(rows, np.int64)) & self.alive)

    def after_removals(self, db: sqlite3.Connection, last_removal: int) -> Self:
        """The matrix after the removals up to this one. Removed rows are marked; once they are more than half of all
        rows, they are left out."""
        found = db.execute("SELECT row FROM removed WHERE number > ?", (self.last_removal,))
        gone = np.isin(self.rows, np.fromiter((row for (row,) in found), np.int64)) & self.alive
        total = self.total - self.vectors[gone].sum(axis=0, dtype=np.float64)
        alive = self.alive & ~gone
        if 2 * np.count_nonzero(alive) >= len(alive):
            return replace(self, alive=alive, total=total, last_removal=last_removal)
        return replace(
            self,
            rows=self.rows[alive],
            buffer=self.vectors[alive],
            alive=alive[alive],
            total=total,
            last_removal=last_removal,
        )

    def after_additions(self, db: sqlite3.Connection, last_row: int) -> Self:
        """The matrix with the rows that were added up to this one. They are written behind the end of every Matrix that
        shares the buffer, so only the newest Matrix may be extended, by one thread at a time."""
        found = db.execute(
            "SELECT row, vector FROM entries WHERE row > ? AND vector IS NOT NULL ORDER BY row", (self.last_row,)
        )
        rows, buffer, total = [self.rows], self.buffer, self.total
        end = len(self.rows)
        while batch := found.fetchmany(READ_AT_ONCE):
            rows.append(np.fromiter((row for row, _ in batch), np.int64, len(batch)))
            vectors = np.frombuffer(b"".join(blob for _, blob in batch), "<f4").reshape(len(batch), -1)
            buffer = _with_capacity(buffer, end, end + len(batch))
            buffer[end : end + len(batch)] = vectors
            total = total + vectors.sum(axis=0, dtype=np.float64)
            end += len(batch)
        alive = np.concatenate([self.alive, np.ones(end - len(self.rows), np.bool_)])
        return replace(self, rows=np.concatenate(rows), buffer=buffer, alive=alive, total=total, last_row=last_row)


def _with_capacity(buffer: Vectors, used: int, needed: int) -> Vectors:
    if needed <= len(buffer):
        return buffer
    larger = np.empty((max(needed, len(buffer) * 3 // 2), buffer.shape[1]), np.float32)
    larger[:used] = buffer[:used]
    return larger


class VectorCache:
    """The newest Matrix that any thread of this process has read. It takes 4 bytes for each dimension of each vector,
    and up to three times as much for a moment while it grows."""

    def __init__(self, dimensions: int) -> None:
        self._lock = threading.Lock()
        self._newest = Matrix.empty(dimensions)

    def begin_transaction(self, db: sqlite3.Connection) -> Matrix:
        """Begin a read transaction, and return the vectors exactly as it sees them. Transactions begin one after the
        other, so that none meets a Matrix of a later state than its own."""
        with self._lock:
            db.execute("BEGIN")
            seen = dict(db.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
            last_row, last_removal = seen.get("entries", 0), seen.get("removed", 0)
            newest = self._newest
            if last_removal > newest.last_removal + REMOVALS_KEPT:
                newest = replace(Matrix.empty(newest.buffer.shape[1]), last_removal=last_removal)
            elif last_removal > newest.last_removal:
                newest = newest.after_removals(db, last_removal)
            if last_row > newest.last_row:
                newest = newest.after_additions(db, last_row)
            self._newest = newest
            return newest
