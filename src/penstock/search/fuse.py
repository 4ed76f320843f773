"""Fusion: one score from the scores of both arms, words and vectors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from penstock.domain.chunk import Candidate, Candidates

LEAST_SPREAD = 1e-6
"""Cosines whose spread is smaller than this say nothing: their differences are rounding errors."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a score, which is their sum: what each arm adds."""

    words: float
    vectors: float


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate with its fused score, at most 1."""

    score: float
    candidate: Candidate
    parts: Parts


def fuse(candidates: Candidates, weight: float) -> list[Ranked]:
    """All candidates, best first. Ties are decided by id, ascending.

    The score is a·(cos − q·m)/(max cos − q·m) + (1 − a)·bm25/max bm25, where a is `weight`. The scores of each arm are
    divided by the best of that arm. Cosines are measured from q·m, the cosine of the question with the mean of all
    vectors, so that 0 is no better than chance. An arm without a score, and a missing vector, adds 0.
    """
    spread = _best(c.cosine for c in candidates.found if c.cosine is not None) - candidates.mean_cosine
    most = _best(c.bm25 for c in candidates.found)

    def ranked_of(candidate: Candidate) -> Ranked:
        vectors = 0.0
        if candidate.cosine is not None and spread > LEAST_SPREAD:
            vectors = (candidate.cosine - candidates.mean_cosine) / spread
        words = candidate.bm25 / most if most > 0 else 0.0
        parts = Parts(words=(1 - weight) * words, vectors=weight * vectors)
        return Ranked(parts.words + parts.vectors, candidate, parts)

    ranked = [ranked_of(candidate) for candidate in candidates.found]
    return sorted(ranked, key=lambda ranked: (-ranked.score, ranked.candidate.entry.id))


def _best(scores: Iterable[float]) -> float:
    return max(scores, default=0.0)
