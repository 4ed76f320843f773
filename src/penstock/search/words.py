"""The splitting of texts and questions into terms. Every index stores the terms of texts, and searches by these."""

from __future__ import annotations

import hashlib
import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

_CJK = (
    "\u3005-\u3007\u3040-\u309f\u30a0-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003ffff"
)
"""The characters of scripts without blanks between words, which are ideographs and kana, and of Hangul, whose endings
vary too much to be stemmed."""

_PIECE = re.compile(rf"(?P<run>[{_CJK}]+)|[^\W_{_CJK}]+")
"""A run of such characters, or a word of other letters and digits. All other characters separate."""
_DIGIT = re.compile(r"\d")
_RUN = re.compile(rf"[{_CJK}]")
_IDENTIFIER = re.compile(rf"(?<![^\W_{_CJK}])[^\W_{_CJK}]++(?:[-‐‑–._/:+#@]{{1,2}}[^\W_{_CJK}]++)+")
"""An identifier, if it has a digit: a part number, a version, a date. A match begins where a word does, and the
possessive quantifiers never backtrack, so that the time for a long word grows only with its length."""
_QUOTED = re.compile(r'(?<!\w)(?:"(?=\S)([^"]+)(?<=\S)"|“([^”]+)”|„([^“”]+)[“”]|«([^»]+)»)(?!\w)')
_HYPHENS = str.maketrans("‐‑–", "---")

MOST_LETTERS = 64
"""The maximum length of a term. What is longer is no word; it is replaced by its beginning and a hash."""

_STEMMERS = MappingProxyType({"en": "english", "de": "german", "fr": "french", "es": "spanish"})
STOP_WORDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "en": frozenset(
            """
            a an the this that these those such
            i me my mine we us our ours you your yours he him his she her hers it its they them their theirs
            myself ourselves yourself yourselves himself herself itself themselves
            am is are was were be been being do does did doing done has have had having
            can could may might must shall should will would cannot
            s t don ll re ve
            what which who whom whose when where why how whether
            and or but nor if then than because while as until since though although so
            at by for from in into of off on onto out over per through to toward towards under up upon via with within
            without about above across after against along among around before behind below beneath beside besides
            between beyond down during except near
            there here both each any all some few more most other another own same only also very too not no just
            again further once ever
            """.split()  # noqa: SIM905 - read by people
        ),
        "de": frozenset(
            """
            der die das den dem des ein eine einen einem einer eines kein keine keinen keiner
            ich du er sie es wir ihr mich dich sich uns euch mir dir ihm ihn ihnen mein dein sein ihre ihrer ihren
            dieser diese dieses diesen diesem jener jede jeder jedes alle allen
            bin ist sind war waren wird werden wurde wurden hat haben hatte hatten kann konnen muss mussen soll sollen
            was wer wen wem wessen wann wo warum wieso wie welche welcher welches welchen ob
            und oder aber denn wenn dann als weil dass damit sowie
            am an auf aus bei bis durch fur gegen im in ins mit nach ohne seit uber um unter von vom vor zu zum zur
            zwischen nicht auch nur noch schon sehr hier dort man
            """.split()  # noqa: SIM905 - read by people
        ),
        "fr": frozenset(
            """
            le la les l un une des du de d au aux ce cet cette ces
            je tu il elle on nous vous ils elles me te se s y en lui leur leurs mon ma mes ton ta tes son sa ses notre
            votre nos vos
            suis est sont etait etaient etre ete a ont avait avoir peut peuvent doit doivent fait
            que qu quel quelle quels quelles qui quoi dont ou quand comment pourquoi combien
            et mais donc or ni car si comme lorsque
            a dans par pour sur avec sans sous vers chez entre depuis apres avant pendant
            ne pas plus moins tres aussi tout tous toute toutes
            """.split()  # noqa: SIM905 - read by people
        ),
        "es": frozenset(
            """
            el la los las lo un una unos unas del al este esta estos estas ese esa esos esas aquel
            yo tu el ella nosotros ellos ellas me te se nos le les mi mis su sus nuestro nuestra
            soy es son era eran ser fue fueron esta estan estaba ha han habia hay puede pueden debe deben tiene
            que cual cuales quien quienes cuando donde como por porque cuanto cuantos
            y e o u pero ni si sino aunque
            a ante bajo con contra de desde en entre hacia hasta para segun sin sobre tras durante
            no muy mas menos tambien ya todo todos toda todas
            """.split()  # noqa: SIM905 - read by people
        ),
    }
)
"""The stop words of each language, folded: words that say nothing about the subject of a text. The language of a text
is detected by them, and questions are searched without them. The index has every word."""

_DETECTION_WORDS = 300
"""The number of words of a text by which its language is detected."""
_LEAST_STOP_WORDS = 0.2
"""The least share of stop words of a language among these words. With fewer the language is unknown."""


class Piece(NamedTuple):
    """A word of a text, or a run of characters of a script without blanks."""

    start: int
    end: int
    text: str
    """The folded text: a word in lower case without diacritics, or a run in characters of one width."""
    is_run: bool


def pieces_of(text: str) -> Iterator[Piece]:
    """The pieces of a text in order, with repetitions. The text should be composed (NFC), so that marks stay with their
    letters."""
    for found in _PIECE.finditer(text):
        is_run = found["run"] is not None
        word = found.group()
        yield Piece(found.start(), found.end(), _unified(word) if is_run else folded(word), is_run)


@lru_cache(maxsize=50_000)
def folded(word: str) -> str:
    """The word in lower case without diacritics: words are compared in this form."""
    if word.isascii():
        return word.lower()
    decomposed = unicodedata.normalize("NFKD", word.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def language_of(text: str) -> str | None:
    """The language of a text, detected by its stop words. It is None where they are too few or ambiguous."""
    return _language_of(_first_words(_composed(text)))


def terms_of(text: str) -> list[str]:
    """The terms that a text is indexed by: the stems of words in the text's language, words with digits as they are,
    whole identifiers in addition to their parts, and each character and each pair of neighbours of runs without blanks.
    A text of unknown language is taken for English."""
    text = _composed(text)
    words = [found.group() for found in _PIECE.finditer(text)]
    language = _language_of([folded(word) for word in words[:_DETECTION_WORDS]]) or "en"
    terms: list[str] = []
    for word in words:
        terms += _indexed(language, word)
    return terms + [_identifier_term(found) for found in _identifiers(text)]


def question_terms(question: str) -> Counter[str]:
    """The terms that a question is searched by, which are those of its content words, and how often each stands in it.
    Where its language is unknown, as it is for a few words, each word is searched by its stems in all languages."""
    terms: Counter[str] = Counter()
    language = _language_of(_first_words(_composed(question)))
    languages = tuple(_STEMMERS) if language is None else {language, "en"}
    for word in content_words(question):
        terms.update(_identifier_term(found) for found in _identifiers(word))
        for piece in pieces_of(word):
            terms.update(forms_of(piece, languages))
    return terms


def forms_of(piece: Piece, languages: Iterable[str] = tuple(_STEMMERS)) -> set[str]:
    """The terms that one piece of a question is searched by."""
    if piece.is_run:
        return set(_pairs(piece.text) or piece.text)
    return {_term(language, piece.text) for language in languages}


def content_words(question: str) -> list[str]:
    """The words and identifiers of a question without stop words, or all of them where it has only stop words. Repeated
    words are kept: they weigh more, and ranking is measurably worse without repetitions."""
    text = _composed(question)
    whole = {found.start(): found.end() for found in _identifiers(text)}
    words, end = [], 0
    for piece in pieces_of(text):
        if piece.start >= end:  # otherwise it is within an identifier
            end = whole.get(piece.start, piece.end)
            words.append(text[piece.start : end])
    stop_words = STOP_WORDS[_language_of(_first_words(text)) or "en"]
    return [word for word in words if folded(word) not in stop_words] or words


def exact_words(text: str) -> list[str]:
    """The exact words of a text, by which phrases are found: its folded words in order, and each character of runs
    without blanks."""
    words: list[str] = []
    for found in _PIECE.finditer(_composed(text)):
        word = found.group()
        words += list(_unified(word)) if _RUN.match(word) else [_bounded(folded(word))]
    return words


def required_phrases(question: str) -> tuple[str, ...]:
    """The phrases that stand in quotes, each as its exact words joined by blanks. If the question has more words
    outside of the quotes than in them, there are none: such a question quotes something, and to insist on it would lose
    answers."""
    text = _composed(question)
    found = (next(filter(None, groups)) for groups in _QUOTED.findall(text))
    phrases = [phrase for phrase in (" ".join(exact_words(each)) for each in found) if phrase]
    outside = content_words(_QUOTED.sub(" ", text))
    return tuple(phrases) if len(outside) <= sum(len(phrase.split()) for phrase in phrases) else ()


def holds_phrase(text: str, phrase: str) -> bool:
    """Whether the text has these exact words next to each other."""
    return f" {phrase} " in f" {' '.join(exact_words(text))} "


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _first_words(text: str) -> list[str]:
    return [piece.text for piece in islice(pieces_of(text), _DETECTION_WORDS)]


@lru_cache(maxsize=50_000)
def _indexed(language: str, word: str) -> tuple[str, ...]:
    """The terms of a word or run as it stands in a text. Most words occur again, so this cache makes indexing fast."""
    if _RUN.match(word):
        run = _unified(word)
        return (*run, *_pairs(run))
    return (_term(language, folded(word)),)


def _language_of(words: Sequence[str]) -> str | None:
    """The language whose stop words are most frequent. Single letters do not count. Since an unknown text is taken for
    English, another language must have more than twice the stop words that English has."""
    longer = [word for word in words if len(word) > 1]
    counts = {language: sum(map(stops.__contains__, longer)) for language, stops in STOP_WORDS.items()}
    best = max(counts, key=lambda language: counts[language])
    if list(counts.values()).count(counts[best]) > 1:
        return None
    if counts[best] < _LEAST_STOP_WORDS * max(1, len(words)) or (best != "en" and counts[best] <= 2 * counts["en"]):
        return None
    return best


def _term(language: str, word: str) -> str:
    return _bounded(word) if _has_digit(word) else _stem(language, _bounded(word))


def _identifiers(text: str) -> Iterator[re.Match[str]]:
    return (found for found in _IDENTIFIER.finditer(text) if _has_digit(found.group()))


def _identifier_term(identifier: re.Match[str]) -> str:
    return _bounded(folded(identifier.group()).translate(_HYPHENS))


def _has_digit(word: str) -> bool:
    return not word.isalpha() and _DIGIT.search(word) is not None


def _pairs(run: str) -> list[str]:
    return [run[at : at + 2] for at in range(len(run) - 1)]


@lru_cache(maxsize=10_000)
def _unified(run: str) -> str:
    return unicodedata.normalize("NFKC", run)


def _bounded(word: str) -> str:
    if len(word) <= MOST_LETTERS:
        return word
    return f"{word[: MOST_LETTERS // 2]}~{hashlib.sha256(word.encode()).hexdigest()[:16]}"


class _Stemmers(threading.local):
    """The stemmers of one thread: a stemmer has state while it works, so threads must not share one."""

    @cached_property
    def of(self) -> dict[str, Any]:
        import snowballstemmer  # noqa: PLC0415 - takes 0.1 s to import, and a cold start needs none

        return {language: snowballstemmer.stemmer(name) for language, name in _STEMMERS.items()}


_stemmers = _Stemmers()


@lru_cache(maxsize=50_000)
def _stem(language: str, word: str) -> str:
    stem: str = _stemmers.of[language].stemWord(word)
    return stem
