"""Web pages as they are found: each word that a reader sees is read once, in its order."""

from __future__ import annotations

import pytest

from penstock.reading.protocol import PART
from tests.support.direct_reading import Reading, reading

XHTML = '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head>{}</head><body>{}</body></html>'


def read(page: str | bytes, name: str = "a.html") -> Reading:
    return reading(page if isinstance(page, bytes) else page.encode(), name)


@pytest.mark.parametrize("empty", ["<title/>", '<script src="a.js"/>', "<style />", "<title/><script\n/>"])
def test_an_empty_element_of_xhtml_does_not_swallow_the_page(empty: str) -> None:
    """HTML has no such elements, and would take all that follows one for its content."""
    found = read(XHTML.format(empty, '<p><a id="p1"/>One.</p><textarea/><p>Two.</p><iframe/><p>Three.</p>'))
    assert found.lines == ["One.", "Two.", "Three."]


def test_a_section_of_character_data_is_text() -> None:
    page = XHTML.format("", "<p>Before <![CDATA[a < b & c]]> after.</p><script><![CDATA[var no;]]></script>")
    assert read(page).lines == ["Before a < b & c after."]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32"])
def test_a_page_in_wide_characters_is_a_page(encoding: str) -> None:
    found = read("<html><body><p>Die Größe</p></body></html>".encode(encoding))
    assert (found.kind, found.lines, found.warnings) == ("html", ["Die Größe"], [])


@pytest.mark.parametrize(
    ("declared", "encoding", "text"),
    [
        ("iso-8859-1", "cp1252", "“It’s €5”"),
        ("gb2312", "gb18030", "压力钢管的检查镕"),
        ("Shift_JIS", "cp932", "①水門の操作"),
        ("euc-kr", "cp949", "수압관의 검사 똠"),
        ("big5", "big5hkscs", "壓力鋼管的檢查"),
        ("windows-1251", "cp1251", "труба"),
        ("iso-8859-1", "utf-8", "Größe"),
        ("utf-8", "cp1252", "Die Größe der Schütze"),
        ("utf-8", "cp1252", "Größe"),
        ("no-such", "cp1252", "Die Größe der Schütze"),
        ("iso-2022-jp", "iso2022_jp", "水門の操作"),
    ],
)
def test_a_page_is_decoded_as_it_is_and_not_only_as_it_says(declared: str, encoding: str, text: str) -> None:
    page = f'<html><head><meta charset="{declared}"></head><body><p>{text}</p></body></html>'
    assert read(page.encode(encoding)).lines == [text]


def test_what_a_page_says_it_is_in_may_stand_behind_much_else() -> None:
    page = f"<html><head><script>{'var a;' * 1500}</script><meta charset=windows-1254></head><p>Ürün</p></html>"
    assert read(page.encode("cp1254")).lines == ["Ürün"]


def test_only_a_guess_is_told() -> None:
    text = "<p>Die Größe der Schütze</p>"
    declared = f"<html><meta charset=windows-1252>{text}</html>"
    assert read(declared.encode("cp1252")).warnings == []
    assert read(f"<html>{text}</html>".encode("cp1252")).warnings == [
        "The text is not Unicode; it was taken for cp1252."
    ]


def test_a_reading_over_characters_stands_behind_the_word() -> None:
    page = "<html><p>この<ruby>水<rp>(</rp><rt>すい</rt><rp>)</rp>門<rt>もん</rt></ruby>は大きい。</p></html>"
    assert read(page).lines == ["この水門 (すいもん) は大きい。"]


def test_the_words_of_a_drawing_are_read() -> None:
    drawing = "<svg><style>text{fill:red}</style><text>Upper gate</text><text>Lower <tspan>gate</tspan></text></svg>"
    assert read(f"<html><p>Figure</p>{drawing}</html>").lines == ["Figure", "Upper gate", "Lower gate"]


def test_a_formula_is_read_once() -> None:
    formula = (
        "<math><semantics><mi>x</mi><annotation encoding='application/x-tex'>\\alpha x</annotation></semantics></math>"
    )
    assert read(f"<html><p>Let {formula} be.</p></html>").lines == ["Let x be."]


def test_a_cell_outside_a_table_is_text() -> None:
    assert read("<html><svg><td>One</td><th>Two</th></svg><p>Three</p></html>").lines[-1] == "Three"


def test_what_is_not_shown_does_not_part_words() -> None:
    page = "<p>Druck&shy;rohr\ufeffe <button>Open</button><button>Shut</button></p><noframes><p>None</p></noframes>"
    assert read(f"<html>{page}</html>").lines == ["Druckrohre", "Open", "Shut"]


def test_lists_definitions_and_code_keep_their_lines() -> None:
    page = (
        "<html><dl><dt>Gate</dt><dd>Holds water.</dd></dl><ol><li>One<ul><li>Inner &amp; deep</li></ul></li></ol>"
        "<pre>a = 1\n  b = 2</pre></html>"
    )
    assert read(page).lines == ["Gate", "Holds water.", "One", "Inner & deep", "a = 1", "  b = 2"]


def test_a_long_page_comes_in_parts() -> None:
    found = read("<html>" + "<p>A line of it.</p>" * (PART // 6) + "</html>")
    assert len(found.texts) > 2
    assert all(len(text.text) < PART + 100 for text in found.texts)
    assert found.text.count("A line of it.") == PART // 6


def test_many_comments_before_the_page_take_no_absurd_time() -> None:
    """A careless pattern would try each way of taking some of them for one."""
    page = "<!---->" * 1000
    assert read(page + "<div>words</div>").lines == ["words"]
    assert read(page + "<html>words</html>", "a").kind == "html"
