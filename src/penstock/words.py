"""Words: how a text is taken apart for looking up and for highlighting, as the index's own tokenizer does it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

WORD = re.compile(r"[^\W_]+")
"""A run of letters and digits; all else separates."""

STOP_WORDS = frozenset(
    """
    a an the this that these those such
    i me my mine we us our ours you your yours he him his she her hers it its they them their theirs
    myself ourselves yourself yourselves himself herself itself themselves
    am is are was were be been being do does did doing done have has had having
    can could may might must shall should will would cannot
    s t don ll re ve
    what which who whom whose when where why how whether
    and or but nor if then than because while as until since though although so
    at by for from in into of off on onto out over per through to toward towards under up upon via with within without
    about above across after against along among around before behind below beneath beside besides between beyond
    down during except near
    there here both each any all some few more most other another own same only also very too not no just
    again further once ever
    """.split()  # noqa: SIM905 - read by people
)
"""English words that say how a question is put, not what it is about. They are left out of questions alone: the index
holds every word."""


def words_of(text: str) -> Iterator[str]:
    """The words of a text in order, repeated ones too. Composed characters, so that marks stay with their letters."""
    return (match.group() for match in WORD.finditer(unicodedata.normalize("NFC", text)))


def content_words(question: str) -> list[str]:
    """The words of a question that say what it is about; all of them where it has no other. Repeated words are kept:
    they weigh more, and ranking is measurably worse without."""
    words = list(words_of(question))
    return [word for word in words if word.lower() not in STOP_WORDS] or words


def folded(word: str) -> str:
    """The word in lower case without diacritics, as the index compares it."""
    decomposed = unicodedata.normalize("NFKD", word.lower())
    return "".join(character for character in decomposed if not unicodedata.combining(character))
