"""A tenant's vectors in memory: kept up with the file by what was added and removed, never read anew."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from penstock.domain.chunk import Vector

Rows = npt.NDArray[np.int64]
Places = npt.NDArray[np.int64]
"""Indices into a Matrix."""
Vectors = npt.NDArray[np.float32]

QUICK_ERROR = 1e-4
"""By how much `Matrix.quick_cosines` may be off; in truth it is less for any number of dimensions that models have."""
READ_AT_ONCE = 2000
REMOVALS_KEPT = 100_000
"""For those who have to catch up; who is further behind reads all vectors anew."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """The vectors of one state of the file. What a query holds of it stays as it is."""

    rows: Rows
    """Row numbers in the file, ascending, shape (n,)."""
    room: Vectors
    """The first n are the vectors, shape (at least n, dimensions); the others are kept for vectors to come."""
    alive: npt.NDArray[np.bool_]
    """False where the row was removed since, shape (n,)."""
    total: npt.NDArray[np.float64]
    """The sum of the living vectors, shape (dimensions,)."""
    last: int = 0
    """The last row ever added to the file, seen in this state."""
    removed: int = 0
    """The last row ever removed from the file, by the number of its removal, seen in this state."""

    @classmethod
    def empty(cls, dimensions: int) -> Self:
        room = np.empty((0, dimensions), np.float32)
        return cls(np.empty(0, np.int64), room, np.empty(0, np.bool_), np.zeros(dimensions))

    @property
    def vectors(self) -> Vectors:
        """Shape (n, dimensions)."""
        return self.room[: len(self.rows)]

    def quick_cosines(self, vector: Vector) -> Vectors:
        """Of each row with the vector, shape (n,). For equal rows they may differ in the last bits, with the place of
        the row: good for a first choice, not for an order."""
        return self.vectors @ vector

    def cosines(self, places: Places, vector: Vector) -> npt.NDArray[np.float64]:
        """Of the rows in these places with the vector, equal for equal rows, shape (len(places),)."""
        found: npt.NDArray[np.float64] = (self.vectors[places].astype(np.float64) * vector).sum(axis=1)
        return found

    def mean_cosine(self, vector: Vector) -> float:
        """Of the vector with the mean of the living; 0 where there are none."""
        living = int(np.count_nonzero(self.alive))
        return float(self.total @ vector) / living if living else 0.0

    def places_of(self, rows: Sequence[int]) -> Places:
        """Where those of these rows stand that have a vector."""
        return np.flatnonzero(np.isin(self.rows, np.array(rows, np.int64)) & self.alive)

    def without(self, db: sqlite3.Connection, removed: int) -> Self:
        """This, as it is after removals: marked as dead or, once those are more than half, left out."""
        found = db.execute("SELECT row FROM removed WHERE number > ?", (self.removed,))
        gone = np.isin(self.rows, np.fromiter((row for (row,) in found), np.int64)) & self.alive
        total = self.total - self.vectors[gone].sum(axis=0, dtype=np.float64)
        alive = self.alive & ~gone
        if 2 * np.count_nonzero(alive) >= len(alive):
            return replace(self, alive=alive, total=total, removed=removed)
        return replace(
            self, rows=self.rows[alive], room=self.vectors[alive], alive=alive[alive], total=total, removed=removed
        )

    def extended(self, db: sqlite3.Connection, last: int) -> Self:
        """This, with the rows added since. They are written behind the end of every Matrix that shares the room, so
        only the newest may be extended, by one thread at a time."""
        found = db.execute(
            "SELECT row, vector FROM entries WHERE row > ? AND vector IS NOT NULL ORDER BY row", (self.last,)
        )
        rows, room, total = [self.rows], self.room, self.total
        end = len(self.rows)
        while batch := found.fetchmany(READ_AT_ONCE):
            rows.append(np.fromiter((row for row, _ in batch), np.int64, len(batch)))
            vectors = np.frombuffer(b"".join(blob for _, blob in batch), "<f4").reshape(len(batch), -1)
            room = _with_room(room, end, end + len(batch))
            room[end : end + len(batch)] = vectors
            total = total + vectors.sum(axis=0, dtype=np.float64)
            end += len(batch)
        alive = np.concatenate([self.alive, np.ones(end - len(self.rows), np.bool_)])
        return replace(self, rows=np.concatenate(rows), room=room, alive=alive, total=total, last=last)


def _with_room(room: Vectors, used: int, needed: int) -> Vectors:
    if needed <= len(room):
        return room
    larger = np.empty((max(needed, len(room) * 3 // 2), room.shape[1]), np.float32)
    larger[:used] = room[:used]
    return larger


class VectorCache:
    """The newest Matrix that any thread of this process has read. Memory: 4 bytes a dimension of each vector, up to
    three times that for a moment while it grows."""

    def __init__(self, dimensions: int) -> None:
        self._lock = threading.Lock()
        self._newest = Matrix.empty(dimensions)

    def begin(self, db: sqlite3.Connection) -> Matrix:
        """Begin a read transaction; the vectors exactly as it sees them. Transactions begin one after the other, so
        that none meets a Matrix of a later state than its own."""
        with self._lock:
            db.execute("BEGIN")
            seen = dict(db.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
            last, removed = seen.get("entries", 0), seen.get("removed", 0)
            newest = self._newest
            if removed > newest.removed + REMOVALS_KEPT:
                newest = replace(Matrix.empty(newest.room.shape[1]), removed=removed)
            elif removed > newest.removed:
                newest = newest.without(db, removed)
            if last > newest.last:
                newest = newest.extended(db, last)
            self._newest = newest
            return newest
