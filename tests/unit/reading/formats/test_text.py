"""Text of any encoding, in parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.reading.formats.text import read
from penstock.reading.protocol import PART, Opened, Text, Warned
from penstock.reading.source import Source
from penstock.reading.text.characters import legible
from penstock.reading.text.encoding_names import codec_of

GERMAN = "Die Größe der Schütze über dem Fluß beträgt fünf Meter, geöffnet werden sie früh.\n"
ENGLISH = "It’s the best—by far—of “O’BRIEN’S” gates…and it costs €5; café “Penstock™” is near.\n"
ESTONIAN = "Šahti vesi jõuab žanrist sõltumata äärmiselt öösel üle turbiini.\n"
FRENCH = "L'élève a été reçu à l'école où il avait déjà étudié la forêt.\n"
RUSSIAN = "Напорный трубопровод подводит воду к турбине гидроэлектростанции.\n"
CZECH = "Potrubí přivádí vodu k turbíně, šoupě se otevírá dříve než závěr.\n"
HUNGARIAN = "A nyomócső vezeti a vizet a turbinához, őrzése a gépész dolga, tűrése öt bar.\n"
TURKISH = "Cebri boru suyu türbine götürür; kapağı açılmadan önce basınç ölçülür, işçi çağrılır.\n"
LITHUANIAN = "Slėginis vamzdis tiekia vandenį į turbiną, sklendė šįvakar atidaryta.\n"
GREEK = "Ο αγωγός φέρνει το νερό στον υδροστρόβιλο. Η πίεση ελέγχεται κάθε ημέρα.\n"
HEBREW = "הצינור מוביל את המים אל הטורבינה, והשסתום נפתח לאט בכל בוקר.\n"
KOREAN = "수압관의 검사는 매년 실시하며 검사원은 모든 결함을 기록해야 한다.\n"
CHINESE = "压力钢管的检查必须每年进行一次，检查员应当记录所有缺陷。\n"
JAPANESE = "水門の操作手順について説明します。まず最初に圧力を確認してください。\n"


def texts(path: Path) -> list[str]:
    return [frame.text for frame in read(Source(path)) if isinstance(frame, Text)]


def warnings(path: Path) -> list[str]:
    return [frame.text for frame in read(Source(path)) if isinstance(frame, Warned)]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (GERMAN, "utf-8"),
        (GERMAN, "utf-8-sig"),
        (GERMAN, "utf-16"),
        (GERMAN, "utf-16-le"),
        (GERMAN, "utf-16-be"),
        (GERMAN, "utf-32"),
        (GERMAN, "cp1252"),
        (FRENCH, "latin-1"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8-r"),
        (CHINESE, "gb18030"),
        (ENGLISH, "cp1252"),
        (ESTONIAN, "cp1252"),
        (ESTONIAN, "cp1257"),
        (CZECH, "cp1250"),
        (CZECH, "iso8859-2"),
        (HUNGARIAN, "cp1250"),
        (TURKISH, "cp1254"),
        (LITHUANIAN, "cp1257"),
        (GREEK, "cp1253"),
        (HEBREW, "cp1255"),
        (GERMAN, "mac-roman"),
        (FRENCH, "cp850"),
        (RUSSIAN, "cp866"),
        (RUSSIAN, "utf-16-le"),
        (RUSSIAN, "utf-16-be"),
        (RUSSIAN, "utf-32-le"),
        (CHINESE, "utf-16-le"),
        (CHINESE, "utf-32-be"),
        (KOREAN, "cp949"),
        (KOREAN, "iso2022-kr"),
        (JAPANESE, "shift-jis"),
        (JAPANESE, "euc-jp"),
        (JAPANESE, "iso2022-jp"),
        (JAPANESE, "utf-8"),
    ],
)
def test_the_encoding_is_found(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes((text * 5).encode(encoding))
    assert "".join(texts(path)) == text * 5


def test_a_text_in_several_languages_of_one_encoding_is_of_that_one(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes((GERMAN + FRENCH + "O João comprou um café.\n").encode("cp1252"))
    assert "".join(texts(path)) == GERMAN + FRENCH + "O João comprou um café.\n"


def test_what_the_sender_says_it_is_in_is_believed_where_it_is_true() -> None:
    short = "Ürün"  # too short to tell by
    said = Source(short.encode("cp1254"), declared="text/plain; charset=windows-1254")
    assert [frame for frame in read(said) if isinstance(frame, Text | Warned)] == [Text(1, short)]
    wrong = Source(GERMAN.encode(), declared="text/plain; charset=koi8-r")
    assert next(frame.text for frame in read(wrong) if isinstance(frame, Text)) == GERMAN


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("ISO-8859-1", "cp1252"),
        ("iso88592", "iso8859-2"),
        ("iso-8859-8-i", "iso8859-8"),
        ("Windows-31J", "cp932"),
        ("x-sjis", "cp932"),
        ("win-1251", "cp1251"),
        ("windows-874", "cp874"),
        ("x-cp1250", "cp1250"),
        ("ks_c_5601-1987", "cp949"),
        ("GB_2312-80", "gb18030"),
        ("x-mac-cyrillic", "mac-cyrillic"),
        ("unicode-1-1-utf-8", "utf-8"),
        ("us-ascii", None),
        ("x-unknown", None),
        ("rot13", None),
        ("punycode", None),
        ("unicode_escape", None),
        ("", None),
        (None, None),
    ],
)
def test_an_encoding_is_known_by_the_names_that_senders_give_it(name: str | None, codec: str | None) -> None:
    assert codec_of(name) == codec


def test_a_guessed_encoding_is_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(GERMAN.encode("cp1252"))
    assert warnings(path) == ["The text is not Unicode; it was taken for cp1252."]


def test_a_bad_byte_in_utf8_costs_that_byte_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes((GERMAN * 9).encode() + b"\xff" + "Ende übrig".encode())
    assert texts(path) == [GERMAN * 9 + "\ufffdEnde übrig"]
    assert warnings(path) == ["Part 1 has bytes that are not utf-8; each is shown as U+FFFD."]


def test_a_file_cut_in_the_midst_of_a_character_is_still_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("Die Tür ist gr\u00fcn und schön ü".encode()[:-1])
    assert texts(path) == ["Die Tür ist gr\u00fcn und schön \ufffd"]


def test_a_text_whose_last_letter_is_its_only_one_beyond_ascii_is_no_utf8_cut_short() -> None:
    assert [frame.text for frame in read(Source("Le café".encode("cp1252"))) if isinstance(frame, Text)] == ["Le café"]


def test_capitals_and_markup_do_not_make_russian_western() -> None:
    page = "<b>АРЕНДА КВАРТИР</b> <i>снять</i> <a href='a'>ОФИС</a> и гараж в центре, СРОЧНО и недорого"
    (text,) = [frame.text for frame in read(Source(page.encode("cp1251"))) if isinstance(frame, Text)]
    assert text == page


def test_a_bad_byte_far_into_the_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"Plain English text.\n" * 100_000 + FRENCH.encode("cp1252") * 20)
    assert "".join(texts(path)).endswith(FRENCH)


def test_parts_end_with_a_line_and_joined_are_the_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    text = "".join(f"Line {number} of a long file.\n" for number in range(30_000))
    path.write_text(text)
    found = texts(path)
    assert "".join(found) == text
    assert len(found) > 1
    assert all(part.endswith("\n") and len(part) <= PART for part in found)


def test_a_line_longer_than_a_part_is_cut_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x" * (2 * PART + 5))
    assert [len(part) for part in texts(path)] == [PART, PART, 5]
    path.write_text("water " * PART)
    assert all(part.endswith(" ") and len(part) <= PART for part in texts(path))


def test_line_ends_are_one_kind_and_controls_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\r\ntwo\rthree\x0cfour\x07 \x1b[31mred\n")
    assert texts(path) == ["one\ntwo\nthree\nfour [31mred\n"]


def test_there_are_no_pages(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("words")
    assert next(iter(read(Source(path)))) == Opened("text", "utf-8", paged=False)


def test_what_is_legible_can_be_stored() -> None:
    assert legible("\ufeffcom\ufffepile\r\n\x00a\ud800b\udfffc\ufffdd") == "compile\nabc\ufffdd"
