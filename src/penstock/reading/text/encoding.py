"""Encoding: which one a text is in, by its mark, by what its sender says, and by what it looks like."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from functools import cache, lru_cache

from penstock.reading.source import Source
from penstock.reading.text.byte_order import marked

_BLOCK = 1 << 20
_LONGEST = 4
"""Bytes of a character."""
_SAMPLE = 1 << 15
"""Bytes by which an encoding is guessed, from the beginning and from where UTF-8 ends."""
_ESCAPES = (
    (re.compile(rb"\x1b\$[@B]"), "iso2022_jp_ext"),
    (re.compile(rb"\x1b\$\)C"), "iso2022_kr"),
)
"""By which encodings of seven bits are known."""
_WESTERN = "cp1252"
_CHARSET = re.compile(r";\s*charset=[\"']?([\w.:+-]+)", re.IGNORECASE)
_TEXTUAL = re.compile(r"(?:utf-|cp|iso8859-|iso2022|koi8|mac-|euc_|shift_jis|big5|gb|johab|tis|ptcp|kz|ascii)")
"""Of Python's codecs, those that are encodings of text; of the others some are slow, and most are something else."""
_WIDER = {
    "ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874", "tis-620": "cp874",
    "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949", "big5": "big5hkscs",
    "iso2022_jp": "iso2022_jp_ext",
}  # fmt: skip
"""What is written under a name is often of the wider set that the name's maker ships (WHATWG, "Encoding", 4.2)."""
_ALIASES = {
    "ansi": "cp1252", "gb_2312": "gb18030", "gb_2312_80": "gb18030", "koi8_ru": "koi8_u", "ks_c_5601": "cp949",
    "ksc_5601": "cp949", "macintosh": "mac_roman", "sjis": "cp932", "unicode": "utf-16", "unicode_1_1_utf_8": "utf-8",
    "windows_31j": "cp932",
}  # fmt: skip
_PAGE = re.compile(r"(?:windows|win|cp|dos)_?(\d{3,5})")
_PART = re.compile(r"iso_?8859_?(\d\d?)(?:_[ie])?")
"""Of a standard; what may follow says in which direction Hebrew was stored."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """A codec, and whether it is a guess: then what it cannot decode is marked by U+FFFD."""

    codec: str
    guessed: bool = False


def encoding_of(source: Source, declared: str | None = None) -> Encoding:
    """By its mark; by where its NULs are; UTF-8 if all of it is, as what is can hardly be another; what it is declared
    as, if that is true; else what samples of it look like."""
    with source.open() as file:
        head = file.read(_SAMPLE)
        known = marked(head) or _escaped(head)
        if known:
            return Encoding(known)
        decoder, block, place = codecs.getincrementaldecoder("utf-8")(), head, 0
        only_ascii = True
        while block:
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                place += error.start
                break
            place += len(block)
            only_ascii = only_ascii and block[:-_LONGEST].isascii()
            block = file.read(_BLOCK)
        else:
            if not decoder.getstate()[0]:
                return Encoding("utf-8")
            if not only_ascii:  # an end in the midst of a character is a file cut short, not another encoding
                return Encoding("utf-8", guessed=True)
        start = file.seek(max(0, place - _SAMPLE // 2))
        sample = file.read(_SAMPLE)
    told = codec_of(declared or _charset(source.declared))
    if told and told != "utf-8" and _is_in(sample, told):
        return Encoding(told)
    return Encoding(_guess(head, sample) if start else _guess(sample), guessed=True)


def decoded(content: bytes, declared: str | None) -> str:
    """A text that somebody may have said the encoding of."""
    return content.decode(encoding_of(Source(content), declared).codec, errors="replace")


def _is_in(sample: bytes, codec: str) -> bool:
    text = sample.decode(codec, errors="replace")
    cut = 2 if len(sample) == _SAMPLE else 0  # characters at its ends
    return (text.count("\ufffd") - cut) * 100 <= sum(character > "\x7f" for character in text)


def _charset(media_type: str | None) -> str | None:
    found = _CHARSET.search(media_type or "")
    return found[1] if found else None


@lru_cache(256)
def codec_of(label: str | None) -> str | None:
    """The codec of an encoding's name, as senders write it; None where it is none, or says nothing: what is declared
    as ASCII and is not may be anything."""
    said = (label or "").strip().strip("\"'").lower().replace("-", "_").removeprefix("x_").partition("_19")[0]
    said = _PART.sub(r"iso8859_\1", _PAGE.sub(r"cp\1", _ALIASES.get(said, said)))
    for each in (said, f"x_{said}"):
        try:
            name = codecs.lookup(each).name
        except (LookupError, ValueError):
            continue
        if name != "ascii" and _TEXTUAL.match(name):
            return _WIDER.get(name, name)
    return None


def _escaped(head: bytes) -> str | None:
    if b"\x1b$" not in head:
        return None
    return next((codec for pattern, codec in _ESCAPES if pattern.search(head)), None) if head.isascii() else None


_MOSTLY = 10
"""Characters of UTF-8 to each byte that is none of it."""


def _guess(*samples: bytes) -> str:
    text = b"\n".join(samples)
    as_utf8 = text.decode(errors="replace")
    broken, whole = as_utf8.count("\ufffd"), sum(character > "\x7f" for character in as_utf8)
    if whole > _MOSTLY * broken:
        return "utf-8"
    return _spelled(text) or _in_pairs(text) or _by_statistics(text) or _WESTERN


_PLAUSIBLE = 0.95
"""Part of the letters beyond ASCII that have to be of one language's alphabet, and stand where such letters do."""
_WORD = re.compile(rb"[^\s<>]{0,30}[\x80-\xff][^\s<>]{0,30}")
_LETTER = re.compile(rb"[A-Za-z]")
_MOST = 3
"""Times as many letters as are ASCII's: words of Latin letters have more than these few of them."""
_WORDS = 200
"""That have such letters, and tell enough."""
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
_MIXED = ("".join(sorted(set("".join(_LATIN)))),)
"""Of several western languages."""
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
    (_WESTERN, _MIXED),
)
"""Of equally good ones the earlier is taken."""
_FINALS = "ςךםןףץ"
"""Letters that end a word."""
_WITHIN = "’—–…·\xa0"
"""Marks that may stand between two letters."""
_MARKS = "‘’‚“”„–—…•«»‹›¿¡§¶©®™°€£¥¢·№\xa0×÷¬¦½¼¾²³ªº´µ‰†‡"


def _spelled(text: bytes) -> str | None:
    """The codec by which the text is spelled as a language is whose letters are known here."""
    text = b" ".join(_WORD.findall(text)[:_WORDS])
    best, found = _PLAUSIBLE, None
    latin = len(_LETTER.findall(text))
    for codec, alphabets in _SPELLINGS:
        read = text.decode(codec, errors="replace")
        beyond = sum(character > "\x7f" for character in read)
        if alphabets is _MIXED and sum(map(str.isalpha, read)) > _MOST * latin:
            continue
        for fitting in map(_fitting, alphabets):
            score = sum(map(len, fitting.findall(read))) / beyond
            if score > best:
                best, found = score, codec
        if best == 1:
            break
    return found


@cache
def _fitting(alphabet: str) -> re.Pattern[str]:
    """What stands as it may: a capital not behind a small letter, most marks not within a word, no letter of another
    script beside a Latin one."""
    capitals = "".join(each.upper() for each in alphabet if len(each.upper()) == 1)
    letters = f"a-zA-Z{alphabet}{capitals}"
    if any(each in alphabet for each in "аαא"):
        small = f"(?<![a-zA-Z])[{alphabet}]+(?![a-zA-Z])|(?<=[{alphabet}])[{_FINALS}](?![{letters}])"
        large = f"(?<![{letters}])[{capitals}](?![{capitals}])"
    else:
        small = f"[{alphabet}]+"
        large = f"(?<![a-z{alphabet}])[{capitals}]+"
    return re.compile(
        f"{small}|{large}|[{_WITHIN}][{_MARKS}]*|(?<![{letters}])[{_MARKS}±¹]+|[{_MARKS}]+(?![{letters}])"
    )


_PAIR = re.compile(rb"[\xa1-\xfe][\xa1-\xfe]")
_KANA = (0xA4, 0xA5)
_SYLLABLES = (0xA1, 0xC8)
_COMMON = (0xA1, 0xD7)
_FEW_KANA, _MOST_SYLLABLES, _MOST_COMMON = 0.2, 0.97, 0.9


def _in_pairs(text: bytes) -> str | None:
    """The standards of Japan, Korea and China have the same pairs of bytes; what stands where tells them apart: kana,
    the syllables of Korean, the first half of the characters of Chinese, which is the common one."""
    pairs = _PAIR.findall(text)
    if not pairs or 2 * len(pairs) < len(text) - len(text.translate(None, bytes(range(0x80, 0x100)))):
        return None

    def part(first: int, last: int) -> float:
        return len([pair for pair in pairs if first <= pair[0] <= last]) / len(pairs)

    if part(*_KANA) >= _FEW_KANA:
        return "euc_jp"
    if part(*_SYLLABLES) >= _MOST_SYLLABLES:
        return "cp949"
    return "gb18030" if part(*_COMMON) >= _MOST_COMMON else None


_DOUBT = 0.1
"""Of charset-normalizer's measure of chaos: as good as equal. It names central European codecs first, where western
ones are far more common."""


def _by_statistics(text: bytes) -> str | None:
    from charset_normalizer import from_bytes  # noqa: PLC0415 - most files never need it

    matches = from_bytes(text)
    best = matches.best()
    if best is None:
        return None
    western = any(
        _WESTERN in {other.encoding, *other.could_be_from_charset} and other.chaos <= best.chaos + _DOUBT
        for other in matches
    )
    return _WESTERN if western else best.encoding
