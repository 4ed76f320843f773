"""Guesses the encoding of a text that is not UTF-8 and whose sender declared none that is true."""

from __future__ import annotations

import re
from functools import cache

_WESTERN = "cp1252"

_UTF8_CHARACTERS = 10
"""A text is damaged UTF-8 if it has more than this number of characters beyond ASCII for each place that is not
UTF-8."""


def guess(*samples: bytes) -> str:
    """The most likely codec. The steps go from the surest to the last resort: damaged UTF-8, the spelling of languages
    whose alphabets are known here, the byte pairs of East Asian encodings, the statistics of charset-normalizer, and
    cp1252, the most common encoding."""
    text = b"\n".join(samples)
    if _is_damaged_utf8(text):
        return "utf-8"
    return _by_spelling(text) or _by_byte_pairs(text) or _by_statistics(text) or _WESTERN


def _is_damaged_utf8(text: bytes) -> bool:
    as_utf8 = text.decode(errors="replace")
    return _beyond_ascii(as_utf8) > _UTF8_CHARACTERS * as_utf8.count("\ufffd")


def _beyond_ascii(text: str) -> int:
    return sum(character > "\x7f" for character in text)


# By spelling

_PLAUSIBLE = 0.95
"""The share of the characters beyond ASCII that must fit a language's alphabet and stand where such characters do."""
_WORD = re.compile(rb"[^\s<>]{0,30}[\x80-\xff][^\s<>]{0,30}")
_WORDS = 200
"""The number of words with characters beyond ASCII that are examined. More would tell nothing more."""
_ASCII_LETTER = re.compile(rb"[A-Za-z]")
_LETTERS_PER_ASCII_LETTER = 3
"""A text in western languages has at most this number of letters for each ASCII letter, since most of its letters
are."""
_LATIN = (
    "äöüßéà", "àâæçéèêëîïôœùûüÿ", "áéíñóúüçàèòï", "ãáàâçéêíõóôúü", "àèéìíîòóùú", "åäöæøéü", "áðéíóúýþæö", "ëïéèöü",
    "äöåõüšž",
)  # fmt: skip
_CENTRAL = ("ąćęłńóśźż", "áäčďéěíĺľňóôŕřšťúůýž", "áéíóöőúüű", "ăâîşţ", "čćđšž")
_CYRILLIC = (
    "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    "абвгдежзийклмнопрстуфхцчшщьюяіїєґ",
    "абвгдежзијклмнопрстуфхцчшђљњћџѓќѕў",
)
_GREEK = ("αβγδεζηθικλμνξοπρστυφχψωάέήίόύώϊϋΐΰ",)
_HEBREW = ("אבגדהוזחטיכלמנסעפצקרשת",)
_SEVERAL_WESTERN = ("".join(sorted(set("".join(_LATIN)))),)
"""The alphabet of a text in several western languages."""
_SPELLINGS = (
    (_WESTERN, _LATIN),
    ("cp1250", _CENTRAL),
    ("iso8859-2", _CENTRAL),
    ("cp1254", ("çğıöşüâîûİ",)),
    ("cp1257", ("ąčęėįšųūž", "āčēģīķļņšūž", "äõöüšž")),
    ("mac_roman", _LATIN),
    ("cp850", _LATIN),
    ("cp1255", _HEBREW),
    ("cp1251", _CYRILLIC),
    ("koi8_u", _CYRILLIC),
    ("cp866", _CYRILLIC),
    ("iso8859-5", _CYRILLIC),
    ("mac_cyrillic", _CYRILLIC),
    ("cp1253", _GREEK),
    (_WESTERN, _SEVERAL_WESTERN),
)
"""The codecs, each with the letters beyond ASCII of languages that are written in it. Of codecs that fit a text equally
well, the earlier is taken."""
_NON_LATIN = "аαא"
"""The letters that each alphabet of another script has one of."""
_FINALS = "ςךםןףץ"
"""Letters that stand only at the end of a word."""
_MARKS_WITHIN = "’—–…·\xa0"
"""Marks that may stand between two letters."""
_MARKS = "‘’‚“”„–—…•«»‹›¿¡§¶©®™°€£¥¢·№\xa0×÷¬¦½¼¾²³ªº´µ‰†‡"


def _by_spelling(text: bytes) -> str | None:
    """The codec in which the text is spelled as one of the known languages is. It is None if there is none.

    An example is the word 47 72 F6 DF 65. In cp1252 it is "Größe", and both ö and ß are letters of German: the score is
    1. In cp1250 it is "Größe" too, but no central European alphabet has ß: the score is at most a half. In cp1251 it is
    "GrцЯe": Cyrillic letters never stand beside Latin ones, so the score is 0.
    """
    words = b" ".join(_WORD.findall(text)[:_WORDS])
    ascii_letters = len(_ASCII_LETTER.findall(words))
    best, codec_found = _PLAUSIBLE, None
    for codec, alphabets in _SPELLINGS:
        read = words.decode(codec, errors="replace")
        letters = sum(map(str.isalpha, read))
        if alphabets is _SEVERAL_WESTERN and letters > _LETTERS_PER_ASCII_LETTER * ascii_letters:
            continue
        score = max(_score(read, alphabet) for alphabet in alphabets)
        if score > best:
            best, codec_found = score, codec
        if best == 1:
            break
    return codec_found


def _score(text: str, alphabet: str) -> float:
    """The share of the text's characters beyond ASCII that stand where a language with this alphabet has them."""
    return sum(map(len, _well_placed(alphabet).findall(text))) / _beyond_ascii(text)


@cache
def _well_placed(alphabet: str) -> re.Pattern[str]:
    """The pattern of characters beyond ASCII that stand where a language with this alphabet has them.

    | character | in a Latin alphabet | in another one |
    |---|---|---|
    | small letter | anywhere | not beside a Latin letter |
    | letter that ends words | - | behind a small letter, at the end of a word |
    | capital | not behind a small letter | at the start of a word, and not before another capital |
    | mark that may stand within words | anywhere | anywhere |
    | other mark | before or behind a word | before or behind a word |
    """
    capitals = "".join(each.upper() for each in alphabet if len(each.upper()) == 1)
    letter = f"[a-zA-Z{alphabet}{capitals}]"
    if any(each in alphabet for each in _NON_LATIN):
        placed = [
            f"(?<![a-zA-Z])[{alphabet}]+(?![a-zA-Z])",
            f"(?<=[{alphabet}])[{_FINALS}](?!{letter})",
            f"(?<!{letter})[{capitals}](?![{capitals}])",
        ]
    else:
        placed = [
            f"[{alphabet}]+",
            f"(?<![a-z{alphabet}])[{capitals}]+",
        ]
    marks = [
        f"[{_MARKS_WITHIN}][{_MARKS}]*",
        f"(?<!{letter})[{_MARKS}±¹]+",
        f"[{_MARKS}]+(?!{letter})",
    ]
    return re.compile("|".join(placed + marks))


# By byte pairs

_PAIR = re.compile(rb"[\xa1-\xfe][\xa1-\xfe]")
_KANA = (0xA4, 0xA5)
_SYLLABLES = (0xA1, 0xC8)
_COMMON = (0xA1, 0xD7)
"""The first bytes of the pairs that are Japanese kana, that are Korean syllables and marks, and that are marks and the
common half of the Chinese characters."""
_LEAST_KANA, _LEAST_SYLLABLES, _LEAST_COMMON = 0.2, 0.97, 0.9
"""The share of all pairs that such pairs have at least, in a text of that language."""


def _by_byte_pairs(text: bytes) -> str | None:
    """The codec of a Japanese, Korean or Chinese text. The three standards use the same pairs of bytes, so the first
    bytes tell them apart: Japanese text has kana, Korean text consists of the syllables and marks, and Chinese text
    consists mostly of the common characters, which stand in the first half. It is None for any other text."""
    pairs = _PAIR.findall(text)
    bytes_beyond_ascii = len(text) - len(text.translate(None, bytes(range(0x80, 0x100))))
    if not pairs or 2 * len(pairs) < bytes_beyond_ascii:
        return None

    def share(first: int, last: int) -> float:
        return len([pair for pair in pairs if first <= pair[0] <= last]) / len(pairs)

    if share(*_KANA) >= _LEAST_KANA:
        return "euc_jp"
    if share(*_SYLLABLES) >= _LEAST_SYLLABLES:
        return "cp949"
    return "gb18030" if share(*_COMMON) >= _LEAST_COMMON else None


# By statistics

_EQUAL_CHAOS = 0.1
"""Codecs whose chaos, as charset-normalizer measures it, differs by no more than this are equally good. It lists
central European codecs first, although western ones are far more common."""


def _by_statistics(text: bytes) -> str | None:
    from charset_normalizer import from_bytes  # noqa: PLC0415 - most files never need it

    matches = from_bytes(text)
    best = matches.best()
    if best is None:
        return None
    western = any(
        _WESTERN in {other.encoding, *other.could_be_from_charset} and other.chaos <= best.chaos + _EQUAL_CHAOS
        for other in matches
    )
    return _WESTERN if western else best.encoding
