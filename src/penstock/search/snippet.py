"""Snippet: the part of a text that best shows why it was found."""

from __future__ import annotations

import html
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from penstock.search.words import Piece, content_words, forms_of, pieces_of

LENGTH = 240
"""Characters of text in a snippet, before escapes and marks."""
BEFORE = 60
"""How many of them may stand before the first match."""


@dataclass(frozen=True, slots=True)
class Match:
    """A word of the text that the question asks for."""

    start: int
    end: int
    stem: str


class Highlighter:
    """Makes snippets for one question. Words match by their stems in any language, and runs without blanks by pairs of
    characters, as in the index."""

    def __init__(self, question: str) -> None:
        asked = [piece for word in content_words(question) for piece in pieces_of(word)]
        self._terms = {term: piece.text for piece in asked for term in forms_of(piece)}
        self._beginnings = tuple(piece.text[:2] for piece in asked if not piece.is_run)

    def best_of(self, pages: Sequence[tuple[int, str]]) -> tuple[int, str]:
        """The number of the page that shows best why it was found, the first of those that are alike, and its snippet;
        so that a snippet and the page that is cited for it are never of two pages."""
        number, text = max(pages, key=lambda page: _density(_densest(self._matches(page[1]))))
        return number, self.snippet(text)

    def snippet(self, text: str) -> str:
        """HTML: the text escaped, its matches in <mark>…</mark>, '…' where it was cut, white space made one blank.

        Of the text it has LENGTH characters at most; where no word matches, the first ones.
        """
        text = unicodedata.normalize("NFC", " ".join(text.split()))
        matches = self._matches(text)
        start, end = _window(text, _densest(matches))
        pieces, at = [], start
        for match in matches:
            first, last = max(match.start, start), min(match.end, end)
            if first < last:
                pieces += [html.escape(text[at:first]), f"<mark>{html.escape(text[first:last])}</mark>"]
                at = last
        pieces.append(html.escape(text[at:end]))
        return "…" * (start > 0) + "".join(pieces) + "…" * (end < len(text))

    def _matches(self, text: str) -> list[Match]:
        matches: list[Match] = []
        for piece in pieces_of(text):
            if piece.is_run:
                matches += self._matches_in(piece)
            # Stemming changes ends only: most words need not be stemmed to know that they are none of those.
            elif piece.text.startswith(self._beginnings):
                found = sorted(forms_of(piece) & self._terms.keys())
                if found:
                    matches.append(Match(piece.start, piece.end, self._terms[found[0]]))
        return matches

    def _matches_in(self, run: Piece) -> list[Match]:
        """The parts of a run that were asked for; what touches is one."""
        if len(run.text) != run.end - run.start:  # characters that are several when of one width; a rarity
            return []
        at = [
            (start, start + length)
            for start in range(len(run.text))
            for length in (1, 2)
            if run.text[start : start + length] in self._terms and start + length <= len(run.text)
        ]
        parts: list[tuple[int, int]] = []
        for start, end in at:
            if parts and start <= parts[-1][1]:
                parts[-1] = parts[-1][0], max(end, parts[-1][1])
            else:
                parts.append((start, end))
        return [Match(run.start + start, run.start + end, run.text[start:end]) for start, end in parts]


def _density(run: Sequence[Match]) -> tuple[int, int]:
    """How many different words, and how many words."""
    return len({match.stem for match in run}), len(run)


def _densest(matches: Sequence[Match]) -> Sequence[Match]:
    """The run of matches, no longer than a snippet, with the most different words, then the most words; the first
    such. A match that is longer by itself is a run."""
    best: Sequence[Match] = ()
    most = (0, 0)
    stems: Counter[str] = Counter()
    start = 0
    for end, match in enumerate(matches, 1):
        stems[match.stem] += 1
        while end - start > 1 and match.end - matches[start].start > LENGTH:
            stems[matches[start].stem] -= 1
            start += 1
        density = (sum(count > 0 for count in stems.values()), end - start)
        if density > most:
            best, most = matches[start:end], density
    return best


def _window(text: str, run: Sequence[Match]) -> tuple[int, int]:
    """Where the snippet with this run begins and ends: between words, unless one is too long for that."""
    first, last = (run[0].start, min(run[-1].end, run[0].start + LENGTH)) if run else (0, 0)
    start = max(0, first - min(BEFORE, LENGTH - (last - first)))
    end = min(len(text), start + LENGTH)
    start = max(0, min(start, end - LENGTH))
    if start > 0 and text[start - 1] != " " and (blank := text.find(" ", start, first)) >= 0:
        start = blank + 1
    if end < len(text) and text[end] != " " and (blank := text.rfind(" ", last, end)) >= 0:
        end = blank
    return start, end
