"""Words: how texts and questions are taken apart. Every index stores the terms that this gives, and looks for those."""

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
"""Scripts without blanks between words: ideographs, kana; and Hangul, whose endings differ too much to be stemmed."""

_PIECE = re.compile(rf"(?P<run>[{_CJK}]+)|[^\W_{_CJK}]+")
"""A run of such characters, or of other letters and digits; all else separates."""
_DIGIT = re.compile(r"\d")
_RUN = re.compile(rf"[{_CJK}]")
_IDENTIFIER = re.compile(rf"(?<![^\W_{_CJK}])[^\W_{_CJK}]++(?:[-‐‑–._/:+#@]{{1,2}}[^\W_{_CJK}]++)+")
"""Where it has a digit: a part number, a version, a date. It begins where a word does and gives nothing back, so that a
long word takes no longer than it has letters."""
_QUOTED = re.compile(r'(?<!\w)(?:"(?=\S)([^"]+)(?<=\S)"|“([^”]+)”|„([^“”]+)[“”]|«([^»]+)»)(?!\w)')
_HYPHENS = str.maketrans("‐‑–", "---")

MOST_LETTERS = 64
"""Of a term. What is longer is no word, and is known by its beginning and a hash."""

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
"""By language, folded: the words that say how something is put, not what it is about. By these a language is told, and
questions are asked without them; the index holds every word."""

_TELLING = 300
"""How many words of a text are looked at to tell its language."""
_LEAST_TOLD = 0.2
"""What share of its words must tell that a text is of another language than English."""


class Piece(NamedTuple):
    """A word of a text, or a run of characters of a script without blanks."""

    start: int
    end: int
    text: str
    """Folded: in lower case and without diacritics, and of one width."""
    is_run: bool


def pieces_of(text: str) -> Iterator[Piece]:
    """In order, repeated ones too. The text is best composed (NFC), so that marks stay with their letters."""
    for found in _PIECE.finditer(text):
        is_run = found["run"] is not None
        word = found.group()
        yield Piece(found.start(), found.end(), _unified(word) if is_run else folded(word), is_run)


@lru_cache(maxsize=50_000)
def folded(word: str) -> str:
    """The word in lower case without diacritics, as it is compared."""
    if word.isascii():
        return word.lower()
    decomposed = unicodedata.normalize("NFKD", word.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def language_of(text: str) -> str | None:
    """The language that enough of its words tell; None where they do not."""
    return _language_of(_words(_composed(text)))


def terms_of(text: str) -> list[str]:
    """What a text is indexed by: stems in its language, words with digits as they are, identifiers also whole; of runs
    without blanks each character and each pair of neighbours. A text of unknown language is taken for English."""
    text = _composed(text)
    words = [found.group() for found in _PIECE.finditer(text)]
    language = _language_of([folded(word) for word in words[:_TELLING]]) or "en"
    terms: list[str] = []
    for word in words:
        terms += _indexed(language, word)
    return terms + [_whole(found) for found in _identifiers(text)]


def asked_terms(question: str) -> Counter[str]:
    """The terms that a question is looked for by, and how often each was asked for: those of its content words. Where
    its language cannot be told, as that of a few words cannot, words are looked for by their stems in every one."""
    asked: Counter[str] = Counter()
    told = _language_of(_words(_composed(question)))
    languages = tuple(_STEMMERS) if told is None else {told, "en"}
    for word in content_words(question):
        asked.update(_whole(found) for found in _identifiers(word))
        for piece in pieces_of(word):
            asked.update(forms_of(piece, languages))
    return asked


def forms_of(piece: Piece, languages: Iterable[str] = tuple(_STEMMERS)) -> set[str]:
    """The terms that one piece of a question is looked for by."""
    if piece.is_run:
        return set(_pairs(piece.text) or piece.text)
    return {_term(language, piece.text) for language in languages}


def content_words(question: str) -> list[str]:
    """The words and identifiers of a question that say what it is about; all of them where it has no other. Repeated
    words are kept: they weigh more, and ranking is measurably worse without."""
    text = _composed(question)
    whole = {found.start(): found.end() for found in _identifiers(text)}
    words, end = [], 0
    for piece in pieces_of(text):
        if piece.start >= end:  # else it is within an identifier
            end = whole.get(piece.start, piece.end)
            words.append(text[piece.start : end])
    stop_words = STOP_WORDS[_language_of(_words(text)) or "en"]
    return [word for word in words if folded(word) not in stop_words] or words


def exact_words(text: str) -> list[str]:
    """By which a phrase is found exactly: folded words in order, and each character of runs without blanks."""
    words: list[str] = []
    for found in _PIECE.finditer(_composed(text)):
        word = found.group()
        words += list(_unified(word)) if _RUN.match(word) else [_bounded(folded(word))]
    return words


def required_phrases(question: str) -> tuple[str, ...]:
    """The phrases in quotes, each as its exact words with a blank between them. None where more stands outside of the
    quotes than in them: that is prose which quotes something, and to insist on it loses answers."""
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


def _words(text: str) -> list[str]:
    return [piece.text for piece in islice(pieces_of(text), _TELLING)]


@lru_cache(maxsize=50_000)
def _indexed(language: str, word: str) -> tuple[str, ...]:
    """The terms of a word or run as it stands in a text. Most words come again, so this is where indexing is quick."""
    if _RUN.match(word):
        run = _unified(word)
        return (*run, *_pairs(run))
    return (_term(language, folded(word)),)


def _language_of(words: Sequence[str]) -> str | None:
    """Single letters tell nothing; and as English is what an unknown text is taken for, others need more to go by."""
    longer = [word for word in words if len(word) > 1]
    told = {language: sum(map(stops.__contains__, longer)) for language, stops in STOP_WORDS.items()}
    most = max(told, key=lambda language: told[language])
    if list(told.values()).count(told[most]) > 1:
        return None
    if told[most] < _LEAST_TOLD * max(1, len(words)) or (most != "en" and told[most] <= 2 * told["en"]):
        return None
    return most


def _term(language: str, word: str) -> str:
    return _bounded(word) if _has_digit(word) else _stem(language, _bounded(word))


def _identifiers(text: str) -> Iterator[re.Match[str]]:
    return (found for found in _IDENTIFIER.finditer(text) if _has_digit(found.group()))


def _whole(identifier: re.Match[str]) -> str:
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
    """A stemmer keeps its state while it works, so each thread has its own."""

    @cached_property
    def of(self) -> dict[str, Any]:
        import snowballstemmer  # noqa: PLC0415 - takes 0.1 s to import, and what only starts needs none

        return {language: snowballstemmer.stemmer(name) for language, name in _STEMMERS.items()}


_stemmers = _Stemmers()


@lru_cache(maxsize=50_000)
def _stem(language: str, word: str) -> str:
    stem: str = _stemmers.of[language].stemWord(word)
    return stem
