"""Fuse: one score from words and vectors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from penstock.domain.chunk import Candidate, Candidates

LEAST_SPREAD = 1e-6
"""Cosines this close together say nothing: their differences are rounding."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a score is made of: the sum of what each arm adds."""

    words: float
    vectors: float


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate with its fused score, at most 1."""

    score: float
    candidate: Candidate
    parts: Parts


def fuse(candidates: Candidates, weight: float) -> list[Ranked]:
    """All candidates, best first; ties by id, ascending.

    Each arm is divided by its own best, the cosines counted from that of the question with the mean of all vectors, so
    that 0 is no better than chance: a·(cos − q·m)/(max cos − q·m) + (1 − a)·bm25/max bm25, where a is `weight`. An arm
    that has nothing to say adds 0, and so does a missing vector.
    """
    spread = _best(c.cosine for c in candidates.found if c.cosine is not None) - candidates.mean_cosine
    most = _best(c.bm25 for c in candidates.found)

    def ranked_of(candidate: Candidate) -> Ranked:
        near = 0.0
        if candidate.cosine is not None and spread > LEAST_SPREAD:
            near = (candidate.cosine - candidates.mean_cosine) / spread
        worded = candidate.bm25 / most if most > 0 else 0.0
        parts = Parts(words=(1 - weight) * worded, vectors=weight * near)
        return Ranked(parts.words + parts.vectors, candidate, parts)

    ranked = [ranked_of(candidate) for candidate in candidates.found]
    return sorted(ranked, key=lambda ranked: (-ranked.score, ranked.candidate.entry.id))


def _best(scores: Iterable[float]) -> float:
    return max(scores, default=0.0)
