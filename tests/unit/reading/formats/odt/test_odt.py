"""ODT: how a file is recognized, and what a reader sees although the file only implies it."""

from __future__ import annotations

import pytest

from penstock.domain.errors import PasswordRequired, Unreadable, UnsupportedType
from tests.support.office_files import frames, kind_of, odt, sections_of, text_of, warnings_of
from tests.support.sample_files import zip_of


def test_an_opendocument_text_is_known_wherever_in_the_archive_it_says_so() -> None:
    members = odt("<text:p>Words.</text:p>")
    content = zip_of(dict(reversed(members.items())))
    assert kind_of(content) == "odt"
    assert text_of(content) == "Words."


@pytest.mark.parametrize("members", [{"encrypted-package": b"\x93\x17"}, {"content.xml": b"\x93\x17"}])
def test_a_text_with_a_password_is_known_as_such(members: dict[str, bytes]) -> None:
    """Programs encrypt each part, or all parts together (OpenDocument 1.4, part 2, 3.4)."""
    entry = "<file-entry><encryption-data/></file-entry>"
    manifest = {"META-INF/manifest.xml": f"<manifest>{entry}</manifest>"}
    with pytest.raises(PasswordRequired):
        frames(zip_of({"mimetype": "application/vnd.oasis.opendocument.text", **manifest, **members}))


def test_a_text_without_its_text_is_damaged() -> None:
    with pytest.raises(Unreadable, match=r"content\.xml is missing"):
        frames(zip_of({"mimetype": "application/vnd.oasis.opendocument.text", "styles.xml": "<styles/>"}))


def list_style(*levels: str) -> str:
    each = "".join(
        f'<text:list-level-style-number text:level="{place}" {attributes}/>'
        for place, attributes in enumerate(levels, 1)
    )
    return f'<text:list-style style:name="L">{each}</text:list-style>'


def items(*texts: str, more: str = "") -> str:
    each = "".join(f"<text:list-item><text:p>{text}</text:p></text:list-item>" for text in texts)
    return f'<text:list text:style-name="L" {more}>{each}</text:list>'


def test_items_of_lists_have_the_numbers_that_a_reader_sees() -> None:
    styles = list_style(
        'style:num-format="1" style:num-suffix="."',
        'style:num-format="a" style:num-prefix="(" style:num-suffix=")" text:display-levels="2"',
    )
    deep = "<text:list-item><text:p>two</text:p><text:p>more</text:p><text:list><text:list-item><text:p>deep</text:p>"
    body = items("one") + f'<text:list text:style-name="L" text:continue-numbering="true">{deep}'
    body += "</text:list-item></text:list></text:list-item></text:list>" + items("anew")
    body += items("three", more='text:continue-numbering="true"')
    text = text_of(zip_of(odt(styles + body))).split("\n\n")
    assert text == ["1. one", "2. two", "more", "(2.a) deep", "1. anew", "2. three"]


def test_an_item_may_begin_at_another_number_and_bullets_are_left_out() -> None:
    body = list_style('style:num-format="I"') + items("four").replace(
        "list-item>", 'list-item text:start-value="4">', 1
    )
    bullet = '<text:list text:style-name="B"><text:list-item><text:p>bullet</text:p></text:list-item></text:list>'
    assert text_of(zip_of(odt(body + bullet))).split("\n\n") == ["IV four", "bullet"]


def test_headings_are_numbered_by_the_outline() -> None:
    levels = "".join(
        f'<outline-level-style level="{place}" num-format="1" display-levels="{place}"/>' for place in (1, 2)
    )
    styles = f"<styles><outline-style>{levels}</outline-style></styles>"
    body = '<text:h text:outline-level="1">Scope</text:h><text:h text:outline-level="2">Terms</text:h>'
    content = zip_of(odt(body) | {"styles.xml": styles})
    assert sections_of(content) == [("1 Scope",), ("1 Scope", "1.1 Terms")]


FORMULA = "<math><mi>E</mi><mo>=</mo><mi>m</mi><annotation>E = m</annotation></math>"
CHART = (
    '<o:chart xmlns:o="o" xmlns:text="t" xmlns:table="tb"><text:p>Rainfall</text:p><table:table><table:table-row>'
    "<table:table-cell><text:p>May</text:p></table:table-cell><table:table-cell><text:p>17</text:p></table:table-cell>"
    "</table:table-row></table:table></o:chart>"
)


@pytest.mark.parametrize(("inside", "text"), [(FORMULA, "E = m"), (CHART, "Rainfall\n\nMay | 17")])
def test_formulas_and_charts_are_read_after_their_paragraph(inside: str, text: str) -> None:
    body = '<text:p>Before <draw:frame><draw:object xlink:href="./Object 1"/></draw:frame>and after.</text:p>'
    content = zip_of(odt(body) | {"Object 1/content.xml": inside})
    assert text_of(content) == f"Before and after.\n\n{text}"


def test_a_formula_that_is_damaged_costs_only_itself() -> None:
    body = '<text:p>Before<draw:object xlink:href="./Object 1"/></text:p><text:p>After</text:p>'
    content = zip_of(odt(body) | {"Object 1/content.xml": "<math><mi>E</mi><mo>"})
    assert text_of(content).split() == ["Before", "E", "After"]
    assert warnings_of(content) == ["Its part Object 1/content.xml is damaged; what could be read of it was."]


def test_what_is_said_of_a_drawing_stands_apart_from_its_title() -> None:
    body = "<text:p><draw:frame><title>A weir</title><desc>in spring</desc></draw:frame></text:p>"
    assert text_of(zip_of(odt(body))) == "A weir in spring"


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("vnd.oasis.opendocument.spreadsheet", "an OpenDocument spreadsheet (ODS)"),
        ("vnd.oasis.opendocument.presentation-template", "an OpenDocument presentation (ODP)"),
        ("vnd.sun.xml.writer", "an archive of type application/vnd.sun.xml.writer"),
    ],
)
def test_other_opendocument_files_are_refused_by_their_names(kind: str, found: str) -> None:
    """They are not taken for archives, whose parts would be read as documents."""
    members = odt("<text:p>Words.</text:p>") | {"mimetype": f"application/{kind}"}
    with pytest.raises(UnsupportedType) as raised:
        frames(zip_of(members), "a.odt")
    assert raised.value.facts["found"] == found
