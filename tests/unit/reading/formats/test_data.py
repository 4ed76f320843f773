"""JSON, XML and CSV, as programs write them and not only as their standards say."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.domain.errors import Unreadable
from tests.support.direct_reading import Reading, reading


def read(content: str | bytes, name: str) -> Reading:
    return reading(content if isinstance(content, bytes) else content.encode(), name)


@pytest.mark.parametrize(
    "number", ["12345678901234567890123", "1.10", "1e400", "-0.30000000000000004", "9" * 5000, "9007199254740993"]
)
def test_numbers_are_read_to_the_last_digit(number: str) -> None:
    assert read(f'{{"n": {number}}}', "a.json").lines == [f"n: {number}"]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ('{"a": NaN, "b": "x"}', ["a: NaN", "b: x"]),
        ('{"a": "half \\ud83d a character"}', ["a: half  a character"]),
        ('{"a": "a line\nend"}', ["a: a line", "end"]),
        ('\ufeff{"a": true}', ["a: true"]),
    ],
)
def test_what_much_that_writes_json_writes_is_read(content: str, lines: list[str]) -> None:
    found = read(content, "a.json")
    assert found.lines == lines
    assert found.warnings == found.problems == []


@pytest.mark.parametrize("content", ['{\n "a": 1\n}\n{\n "b": 2\n}\n', ' {"a": 1}{"b": 2}'])
def test_values_one_behind_the_other_are_read(content: str) -> None:
    found = read(content, "a.json")
    assert found.lines == ["a: 1", "b: 2"]
    assert found.warnings == found.problems == []


def test_what_is_no_json_is_text_with_a_warning() -> None:
    found = read('{"a": 1, "b": [2}\nmore of it\n', "a.json")
    assert found.lines == ['{"a": 1, "b": [2}', "more of it"]
    assert found.warnings == ["It is not valid JSON, and was read as plain text."]


def test_a_line_of_json_ends_where_json_says() -> None:
    """A string may hold characters at which Python would end a line."""
    found = read('{"a": "one\u2028two"}\n{"a": "three\x85four"}\n', "a.jsonl")
    assert found.problems == found.warnings == []
    assert "three" in found.text


@pytest.mark.parametrize(
    ("declared", "encoding", "text"),
    [
        ("utf-8", "utf-16", "Größe"),
        ("utf-16", "utf-8", "Größe"),
        ("GB2312", "gb18030", "压力钢管的检查"),
        ("Shift_JIS", "cp932", "水門の操作"),
        ("EUC-JP", "euc_jp", "水門の操作"),
        ("windows-1251", "cp1251", "труба"),
        ("utf-8", "cp1252", "Die Größe der Schütze"),
        ("x-none", "utf-8", "Größe"),
    ],
)
def test_xml_is_read_whatever_it_is_in(declared: str, encoding: str, text: str) -> None:
    content = f'<?xml version="1.0" encoding="{declared}"?><doc><p>{text}</p></doc>'
    found = read(content.encode(encoding), "a.xml")
    assert (found.kind, found.lines, found.problems) == ("xml", [text], [])


def test_entities_that_are_not_declared_are_what_they_are_in_html() -> None:
    for head in ("", '<!DOCTYPE doc SYSTEM "http://example.org/doc.dtd">'):
        found = read(f"{head}<doc><p>Caf&eacute;&nbsp;&house; open</p></doc>", "a.xml")
        assert found.lines == ["Café &house; open"]
        assert found.problems == []


def test_what_an_xml_file_refers_to_is_not_fetched(tmp_path: Path) -> None:
    near = tmp_path / "near.txt"
    near.write_text("secret")
    head = f'<!DOCTYPE doc [<!ENTITY % more SYSTEM "{near}"> %more; <!ENTITY far SYSTEM "file://{near}">]>'
    found = read(f"{head}<doc>Before &far; after</doc>", "a.xml")
    assert "secret" not in found.text
    assert found.text.split()[0::2] == ["Before", "after"]


@pytest.mark.parametrize(
    ("damage", "lines"),
    [
        ("<doc><p>One</p><p a='1' a='2'>Two</p>\n<p>Three &amp; four</p></doc>", ["One", "Two", "Three & four"]),
        ("<doc>One</doc>\n<doc>Two</doc>", ["One", "Two"]),
        ("<doc><p>One</q>Two\n<!-- not\nthis --></doc>", ["One", "Two"]),
    ],
)
def test_damaged_xml_is_read_to_its_end_and_the_damage_named(damage: str, lines: list[str]) -> None:
    found = read(damage, "a.xml")
    assert found.lines == lines
    (problem,) = found.problems
    assert problem.startswith("its XML is damaged (")
    assert problem.endswith("; what follows was read without its markup")


def test_xml_that_is_cut_short_gives_what_is_there_and_says_so() -> None:
    found = read("<doc><p>One</p><p>Two", "a.xml")
    assert found.lines == ["One", "Two"]
    (problem,) = found.problems
    assert problem.startswith("its XML is damaged (")
    assert problem.endswith(")")


def test_damaged_xml_without_a_word_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        read("<doc><p></doc>", "a.xml")


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("a;b\n1,5;2,5\n3,5;4,5\n", ["a | b", "1,5 | 2,5", "3,5 | 4,5"]),
        ("a\tb\nx, y\tz\n", ["a | b", "x, y | z"]),
        ('sep=|\r\na|b;c\r\n"d|e"|f\r\n', ["a | b;c", "d|e | f"]),
        ('"x, y", 1, "z"\n"p, q", 2, "r"\n', ["x, y | 1 | z", "p, q | 2 | r"]),
        (
            'name,said\nA,"one; two; three"\nB,"four; five; six"\n',
            ["name | said", "A | one; two; three", "B | four; five; six"],
        ),
        ('a,b\r1,"two\rlines"\r', ["a | b", "1 | two lines"]),
        ("only one column\nand, a comma\nplain\nlast\n", ["only one column", "and | a comma", "plain", "last"]),
    ],
)
def test_the_delimiter_is_the_one_by_which_rows_are_alike(content: str, rows: list[str]) -> None:
    assert read(content, "a.csv").lines == rows
