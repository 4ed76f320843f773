"""The two arms of a search, by words and by vectors: each filters first and takes its best then."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from penstock.adapters.sqlite.matrix import QUICK_ERROR, Matrix, Rows
from penstock.domain.chunk import IndexQuery, Vector, labels
from penstock.search.words import asked_terms

MOST_TERMS = 1000
"""Of a question. An FTS5 expression has its limits, and whoever asks more means a document, not a question."""
_HAS_LABELS = """
    (SELECT count(*) FROM json_each(metadata) WHERE value IN (SELECT value FROM json_each(:labels)))
    = json_array_length(:labels)
"""
_WITHOUT = """
    SELECT row FROM entries WHERE (document, generation, build) IN (
        SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]')
        FROM json_each(:without)
    )
"""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows a query may find, as SQL that both arms use."""

    among: str | None
    """Selects the rows that it may; None means all."""
    without: str | None
    """Selects rows that it may not; None means none."""
    values: Mapping[str, object]

    @classmethod
    def of(cls, query: IndexQuery) -> Self:
        wanted = []
        if query.sources:
            wanted.append("source IN (SELECT value FROM json_each(:sources))")
        if query.documents:
            wanted.append("document IN (SELECT value FROM json_each(:documents))")
        if query.metadata:
            wanted.append(_HAS_LABELS)
        if query.since is not None:
            wanted.append("generation >= :since")
        if query.before is not None:
            wanted.append("generation < :before")
        if query.phrases:
            wanted.append("row IN (SELECT rowid FROM words WHERE words MATCH :phrase_terms) AND holds(text, :phrases)")
        builds = [(document, build_id.generation, build_id.build) for document, build_id in query.excluded]
        return cls(
            among=f"SELECT row FROM entries WHERE {' AND '.join(wanted)}" if wanted else None,  # noqa: S608 - constants
            without=_WITHOUT if builds else None,
            values={
                "sources": json.dumps(query.sources),
                "documents": json.dumps(query.documents),
                "labels": json.dumps(labels(dict(query.metadata))),
                "since": query.since,
                "before": query.before,
                "phrases": json.dumps(query.phrases),
                "phrase_terms": " AND ".join(_any_of(word) for phrase in query.phrases for word in phrase.split()),
                "without": json.dumps(builds),
            },
        )


def nearest(db: sqlite3.Connection, matrix: Matrix, vector: Vector, query: IndexQuery) -> list[int]:
    """The rows of the best `depth` cosines with the vector, in no order."""
    rows_that = Filter.of(query)
    admitted = matrix.alive
    if rows_that.among is not None:
        admitted = admitted & np.isin(matrix.rows, _select(db, rows_that.among, rows_that.values))
    if rows_that.without is not None:
        admitted = admitted & ~np.isin(matrix.rows, _select(db, rows_that.without, rows_that.values))
    places = np.flatnonzero(admitted)
    if len(places) > query.depth:
        quick = matrix.quick_cosines(vector)[places]
        places = places[quick >= _least_of_best(quick, query.depth) - QUICK_ERROR]
    cosines = matrix.cosines(places, vector)
    least = _least_of_best(cosines, query.depth)
    above, level = (matrix.rows[places[which]].tolist() for which in (cosines > least, cosines == least))
    first = "SELECT row FROM entries WHERE row IN (SELECT value FROM json_each(:level)) ORDER BY id LIMIT :room"
    ties = _select(db, first, {"level": json.dumps(level), "room": query.depth - len(above)})
    return [*above, *ties.tolist()]


def _least_of_best(cosines: npt.NDArray[np.floating[Any]], depth: int) -> float:
    """The least of the best `depth`, or of all where there are fewer."""
    return float(np.partition(cosines, -depth)[-depth]) if len(cosines) > depth else float(np.min(cosines, initial=1))


def worded(db: sqlite3.Connection, query: IndexQuery, others: Collection[int]) -> dict[int, float]:
    """BM25 by row, above 0: of the best `depth`, and of those of the `others` that have one of the words at all."""
    terms = list(islice(Counter(query.terms).elements(), MOST_TERMS))
    if not terms:
        return {}
    rows_that = Filter.of(query)
    # The unary plus keeps FTS5 from looking up each row by itself, which takes it twenty times as long.
    among = "" if rows_that.among is None else f"AND +rowid IN ({rows_that.among})"
    without = "" if rows_that.without is None else f"AND +rowid NOT IN ({rows_that.without})"
    found = db.execute(
        f"""
        WITH matched AS MATERIALIZED (
            SELECT rowid AS row, -bm25(words) AS score FROM words WHERE words MATCH :words {among} {without}
        ),
        best AS (SELECT score FROM matched ORDER BY score DESC LIMIT :depth)
        SELECT row, score FROM (
            SELECT matched.row, score FROM matched JOIN entries ON entries.row = matched.row
            WHERE score >= (SELECT min(score) FROM best) ORDER BY score DESC, id LIMIT :depth
        )
        UNION
        SELECT row, score FROM matched WHERE row IN (SELECT value FROM json_each(:others))
        """,  # noqa: S608 - constants
        {
            **rows_that.values,
            "words": " OR ".join(map(_quoted, terms)),
            "depth": query.depth,
            "others": json.dumps(list(others)),
        },
    )
    return dict(found.fetchall())


def _select(db: sqlite3.Connection, statement: str, values: Mapping[str, object]) -> Rows:
    return np.fromiter((row for (row,) in db.execute(statement, values)), np.int64)


def _any_of(word: str) -> str:
    """That a word of a phrase is there in some form, as FTS5 is asked."""
    return f"({' OR '.join(map(_quoted, asked_terms(word)))})"


def _quoted(term: str) -> str:
    """A quoted string is no syntax."""
    return f'"{term}"'
