"""Snippets: the part of a text that best shows why it was found, with the words that match."""

from __future__ import annotations

import html
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from penstock.search.words import Piece, content_words, forms_of, pieces_of

LENGTH = 240
"""The maximum number of characters of text in a snippet, before escapes and marks are added."""
BEFORE = 60
"""The maximum number of characters before the first match."""


@dataclass(frozen=True, slots=True)
class Match:
    """A word of the text that the question asks for, with its first offset, and the offset after its end."""

    start: int
    end: int
    stem: str


class Highlighter:
    """Makes the snippets for one question. As in the index, words match by their stems in any language, and runs
    without blanks match by pairs of characters."""

    def __init__(self, question: str) -> None:
        question_pieces = [piece for word in content_words(question) for piece in pieces_of(word)]
        self._terms = {term: piece.text for piece in question_pieces for term in forms_of(piece)}
        self._beginnings = tuple(piece.text[:2] for piece in question_pieces if not piece.is_run)

    def best_of(self, pages: Sequence[tuple[int, str]]) -> tuple[int, str]:
        """The number of the page that best shows why the text was found, and the snippet of that page, so that a
        snippet never comes from another page than the one that is cited. Of equally good pages it is the first."""
        number, text = max(pages, key=lambda page: _density(_densest(self._matches(page[1]))))
        return number, self.snippet(text)

    def snippet(self, text: str) -> str:
        """At most LENGTH characters of the text as HTML: escaped, with matches in <mark>…</mark>, with '…' where the
        text was cut, and with a single blank for white space. Where no word matches, they are the first characters.
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
            # Stemming changes only the end of a word, so a word with another beginning need not be stemmed.
            elif piece.text.startswith(self._beginnings):
                found = sorted(forms_of(piece) & self._terms.keys())
                if found:
                    matches.append(Match(piece.start, piece.end, self._terms[found[0]]))
        return matches

    def _matches_in(self, run: Piece) -> list[Match]:
        """The parts of a run that the question asks for. Parts that touch are joined."""
        if len(run.text) != run.end - run.start:  # rare characters become several when they are brought to one width
            return []
        spans = [
            (start, start + length)
            for start in range(len(run.text))
            for length in (1, 2)
            if run.text[start : start + length] in self._terms and start + length <= len(run.text)
        ]
        parts: list[tuple[int, int]] = []
        for start, end in spans:
            if parts and start <= parts[-1][1]:
                parts[-1] = parts[-1][0], max(end, parts[-1][1])
            else:
                parts.append((start, end))
        return [Match(run.start + start, run.start + end, run.text[start:end]) for start, end in parts]


def _density(run: Sequence[Match]) -> tuple[int, int]:
    """The number of different words, and the number of words."""
    return len({match.stem for match in run}), len(run)


def _densest(matches: Sequence[Match]) -> Sequence[Match]:
    """The first run of matches, no longer than a snippet, that has the most different words and, among such runs, the
    most words. A match that is longer than a snippet is a run by itself."""
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
    """The offsets at which the snippet with this run begins and ends. They are between words, unless a word is too
    long."""
    first, last = (run[0].start, min(run[-1].end, run[0].start + LENGTH)) if run else (0, 0)
    start = max(0, first - min(BEFORE, LENGTH - (last - first)))
    end = min(len(text), start + LENGTH)
    start = max(0, min(start, end - LENGTH))
    if start > 0 and text[start - 1] != " " and (blank := text.find(" ", start, first)) >= 0:
        start = blank + 1
    if end < len(text) and text[end] != " " and (blank := text.rfind(" ", last, end)) >= 0:
        end = blank
    return start, end
