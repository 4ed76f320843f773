"""The two arms of a search, by words and by vectors. Each arm filters first, and takes the best of what is left."""

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
from penstock.search.words import question_terms

MOST_TERMS = 1000
"""The number of a question's terms that are searched for. An FTS5 expression is limited, and a longer question is a
document rather than a question."""
_HAS_LABELS = """
    (SELECT count(*) FROM json_each(metadata) WHERE value IN (SELECT value FROM json_each(:labels)))
    = json_array_length(:labels)
"""
_EXCLUDED = """
    SELECT row FROM entries WHERE (document, generation, build) IN (
        SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]')
        FROM json_each(:excluded)
    )
"""


@dataclass(frozen=True, slots=True)
class Filter:
    """The rows that a query may find, as SQL that both arms use."""

    admitted: str | None
    """A statement that selects the rows that the query may find. It is None where it may find all rows."""
    excluded: str | None
    """A statement that selects rows that the query may not find. It is None where there are none."""
    values: Mapping[str, object]

    @classmethod
    def of(cls, query: IndexQuery) -> Self:
        conditions = []
        if query.sources:
            conditions.append("source IN (SELECT value FROM json_each(:sources))")
        if query.documents:
            conditions.append("document IN (SELECT value FROM json_each(:documents))")
        if query.metadata:
            conditions.append(_HAS_LABELS)
        if query.since is not None:
            conditions.append("generation >= :since")
        if query.before is not None:
            conditions.append("generation < :before")
        if query.phrases:
            conditions.append(
                "row IN (SELECT rowid FROM words WHERE words MATCH :phrase_terms) AND holds(text, :phrases)"
            )
        builds = [(document, build_id.generation, build_id.build) for document, build_id in query.excluded]
        return cls(
            admitted=f"SELECT row FROM entries WHERE {' AND '.join(conditions)}" if conditions else None,  # noqa: S608 - constants
            excluded=_EXCLUDED if builds else None,
            values={
                "sources": json.dumps(query.sources),
                "documents": json.dumps(query.documents),
                "labels": json.dumps(labels(dict(query.metadata))),
                "since": query.since,
                "before": query.before,
                "phrases": json.dumps(query.phrases),
                "phrase_terms": " AND ".join(_any_of(word) for phrase in query.phrases for word in phrase.split()),
                "excluded": json.dumps(builds),
            },
        )


def best_by_vectors(db: sqlite3.Connection, matrix: Matrix, vector: Vector, query: IndexQuery) -> list[int]:
    """The rows of the best `depth` cosines with the vector, in no order. Ties are decided by id."""
    filter_ = Filter.of(query)
    admitted = matrix.alive
    if filter_.admitted is not None:
        admitted = admitted & np.isin(matrix.rows, _select(db, filter_.admitted, filter_.values))
    if filter_.excluded is not None:
        admitted = admitted & ~np.isin(matrix.rows, _select(db, filter_.excluded, filter_.values))
    places = np.flatnonzero(admitted)
    if len(places) > query.depth:
        quick = matrix.quick_cosines(vector)[places]
        places = places[quick >= _least_of_best(quick, query.depth) - QUICK_ERROR]
    cosines = matrix.cosines(places, vector)
    least = _least_of_best(cosines, query.depth)
    above, level = (matrix.rows[places[which]].tolist() for which in (cosines > least, cosines == least))
    first = "SELECT row FROM entries WHERE row IN (SELECT value FROM json_each(:level)) ORDER BY id LIMIT :missing"
    ties = _select(db, first, {"level": json.dumps(level), "missing": query.depth - len(above)})
    return [*above, *ties.tolist()]


def _least_of_best(cosines: npt.NDArray[np.floating[Any]], depth: int) -> float:
    """The smallest of the best `depth` cosines, or of all cosines where there are fewer."""
    return float(np.partition(cosines, -depth)[-depth]) if len(cosines) > depth else float(np.min(cosines, initial=1))


def best_by_words(db: sqlite3.Connection, query: IndexQuery, others: Collection[int]) -> dict[int, float]:
    """The BM25 scores, each above 0, of the best `depth` rows, and of those `others` that have any of the words."""
    terms = list(islice(Counter(query.terms).elements(), MOST_TERMS))
    if not terms:
        return {}
    filter_ = Filter.of(query)
    # The unary plus keeps FTS5 from looking up each row separately, which takes twenty times as long.
    admitted = "" if filter_.admitted is None else f"AND +rowid IN ({filter_.admitted})"
    excluded = "" if filter_.excluded is None else f"AND +rowid NOT IN ({filter_.excluded})"
    found = db.execute(
        f"""
        WITH matched AS MATERIALIZED (
            SELECT rowid AS row, -bm25(words) AS score FROM words WHERE words MATCH :words {admitted} {excluded}
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
            **filter_.values,
            "words": " OR ".join(map(_quoted, terms)),
            "depth": query.depth,
            "others": json.dumps(list(others)),
        },
    )
    return dict(found.fetchall())


def _select(db: sqlite3.Connection, statement: str, values: Mapping[str, object]) -> Rows:
    return np.fromiter((row for (row,) in db.execute(statement, values)), np.int64)


def _any_of(word: str) -> str:
    """The FTS5 expression that finds any form of a word of a phrase."""
    return f"({' OR '.join(map(_quoted, question_terms(word)))})"


def _quoted(term: str) -> str:
    """The term in quotes, so that FTS5 does not read it as syntax."""
    return f'"{term}"'
