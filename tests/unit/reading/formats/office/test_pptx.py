"""PPTX: what stands at the margins of slides, and in their charts."""

from __future__ import annotations

from penstock.reading.protocol import Text
from tests.support.office_files import frames, pptx, shape, text_of
from tests.support.sample_files import zip_of


def test_footers_and_dates_are_read_once_and_the_numbers_of_slides_never() -> None:
    slide = shape("Body") + shape("Confidential", "ftr") + shape("1 May 2024", "dt")
    found = frames(pptx(slide + shape("1", "sldNum") + shape("1", "ftr"), slide + shape("2", "sldNum")))
    texts = [frame.text.split("\n") for frame in found if isinstance(frame, Text)]
    assert [[line for line in lines if line] for lines in texts] == [["Body", "Confidential", "1 May 2024"], ["Body"]]


def test_what_stands_at_the_margins_of_notes_is_read_once() -> None:
    notes = f'<p:notes xmlns:p="p" xmlns:a="a">{shape("A note", "body")}{shape("For the speaker", "hdr")}</p:notes>'
    of = {f"ppt/slides/{number}.xml": {f"ppt/notes/{number}.xml": ("notesSlide", notes)} for number in (1, 2)}
    text = text_of(pptx(shape("One"), shape("Two"), of=of))
    assert text.split() == ["One", "A", "note", "For", "the", "speaker", "Two", "A", "note"]


def test_labels_of_a_chart_are_read_once_and_its_numbers_never() -> None:
    label = "<c:cat><c:strRef><c:strCache><c:pt><c:v>May</c:v></c:pt></c:strCache></c:strRef></c:cat>"
    number = "<c:val><c:numRef><c:numCache><c:pt><c:v>17</c:v></c:pt></c:numCache></c:numRef></c:val>"
    series = [f"<c:ser><c:tx><c:v>{name}</c:v></c:tx>{label}{number}</c:ser>" for name in ("Rain", "Snow")]
    chart = f'<c:chart xmlns:c="c">{"".join(series)}</c:chart>'
    of = {"ppt/slides/1.xml": {"ppt/charts/1.xml": ("chart", chart)}}
    assert text_of(pptx(shape("One"), of=of)).split() == ["One", "Rain", "May", "Snow"]


def test_slides_are_read_by_their_numbers_where_the_list_of_them_is_damaged() -> None:
    slides = {
        f"ppt/slides/slide{each}.xml": f'<p:sld xmlns:p="p" xmlns:a="a">{shape(str(each))}</p:sld>' for each in (10, 9)
    }
    assert text_of(zip_of({"ppt/presentation.xml": "<presentation><cut", **slides})).split() == ["9", "10"]
