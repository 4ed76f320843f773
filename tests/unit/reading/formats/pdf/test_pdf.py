"""PDF: true pages, the second opinion, and damage that costs only what is damaged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from penstock.domain.errors import LimitHit, PasswordRequired, Unreadable
from penstock.reading.formats.pdf import pdf as module
from penstock.reading.formats.pdf.bookmarks import Bookmarks
from penstock.reading.formats.pdf.engine import PageText
from penstock.reading.formats.pdf.pages import best_reading, read_pages
from penstock.reading.formats.pdf.second_opinion import SecondOpinion
from penstock.reading.limits import ReadLimits
from penstock.reading.protocol import Opened, Read, Text, Warned
from penstock.reading.source import Source
from tests.support.generated_prose import Prose
from tests.support.pdf_files import pdf, raw_pdf, scanned_pdf


def frames(folder: Path, content: bytes) -> list[Read]:
    path = folder / "a.pdf"
    path.write_bytes(content)
    return list(module.read(Source(path)))


def texts(found: list[Read]) -> list[tuple[int, str]]:
    return [(frame.number, frame.text) for frame in found if isinstance(frame, Text)]


def test_each_page_has_its_number_and_its_text(tmp_path: Path) -> None:
    found = frames(tmp_path, pdf(["First page.\nTwo lines.", "Second page.", "Third page."]))
    assert found[0] == Opened("pdf", "pypdfium2", paged=True, pages=3, seeks=True)
    assert texts(found) == [(1, "First page.\nTwo lines."), (2, "Second page."), (3, "Third page.")]


def test_blank_pages_keep_their_numbers(tmp_path: Path) -> None:
    assert texts(frames(tmp_path, pdf(["", "Text.", ""]))) == [(1, ""), (2, "Text."), (3, "")]


def test_a_document_without_text_is_no_error(tmp_path: Path) -> None:
    found = frames(tmp_path, scanned_pdf(2))
    assert found[0] == Opened("pdf", "pypdfium2", paged=True, pages=2, seeks=True)
    assert texts(found) == [(1, ""), (2, "")]


def test_an_empty_user_password_opens(tmp_path: Path) -> None:
    assert texts(frames(tmp_path, pdf(["For everyone."], password=""))) == [(1, "For everyone.")]


def test_any_other_password_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(PasswordRequired):
        frames(tmp_path, pdf(["For some."], password="secret"))


@pytest.mark.parametrize("content", [b"%PDF-1.7\n", b"%PDF-1.7\n" + bytes(range(256)) * 20, pdf(["text"])[:700]])
def test_a_file_that_neither_library_opens_says_what_both_said(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(Unreadable) as raised:
        frames(tmp_path, content)
    assert "pypdfium2 says" in str(raised.value)
    assert "pypdf says" in str(raised.value)
    assert "Traceback" not in str(raised.value)


def test_a_file_that_is_cut_short_gives_the_pages_that_are_whole_and_says_that_others_may_be_missing(
    tmp_path: Path,
) -> None:
    """Writers put the list of pages at the end, so it is the first thing that is lost."""
    content = pdf(f"Page {number} {Prose(number, headings=0).text(1500)}" for number in range(1, 11))
    found = [frame for frame in frames(tmp_path, content[: len(content) // 2]) if isinstance(frame, Text)]
    whole = [frame for frame in found if frame.text]
    assert len(whole) >= 4
    assert [frame.text.split()[1] for frame in whole] == [str(frame.number) for frame in whole]
    assert found[-1].problem == "the file is cut short or damaged; pages behind this may be missing"


def test_a_document_without_pages_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="no pages"):
        frames(tmp_path, raw_pdf(b"", pages=0))


def test_a_page_that_cannot_be_read_costs_that_page_alone(tmp_path: Path) -> None:
    content = raw_pdf(b"BT /F1 12 Tf 72 700 Td (Still here) Tj ET", pages=3, kids="4 0 R 99 0 R 4 0 R")
    found = [frame for frame in frames(tmp_path, content) if isinstance(frame, Text)]
    assert [(frame.number, frame.text, frame.problem is None) for frame in found] == [
        (1, "Still here", True),
        (2, "", False),
        (3, "Still here", True),
    ]


def test_where_no_page_can_be_read_the_file_cannot(tmp_path: Path) -> None:
    with pytest.raises(Unreadable):
        frames(tmp_path, raw_pdf(b"", pages=2, kids="98 0 R 99 0 R"))


def test_text_of_unknown_characters_is_shown_as_such(tmp_path: Path) -> None:
    """This is better than to pass for a page without text. In the midst of known text such characters are left out."""
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf([""]))
    with SecondOpinion(Source(path)) as second:
        found = list(read_pages(_Engine(["\x04\x05\x00", "a" * 10 + "\x04b\ufffec", " \r\n"]), second))
    assert [page.text for page in found] == ["\ufffd\ufffd\ufffd", "a" * 10 + "bc", ""]
    assert [page.unclear for page in found] == [True, False, False]
    assert found[0].warning == "Page 1 has text in a font that does not tell which characters it shows."


class _Engine:
    """An engine that reads these texts, page by page. An error among them is raised."""

    name = "pypdfium2"

    def __init__(self, texts: Sequence[str | Exception]) -> None:
        self._texts, self.pages = texts, len(texts)

    def page(self, index: int) -> PageText:
        found = self._texts[index]
        if isinstance(found, Exception):
            raise found
        return PageText(found)

    def bookmarks(self) -> Bookmarks:
        return Bookmarks()

    def attached(self, _first_page: int, /) -> Sequence[tuple[str, bytes]]:
        return []


def test_a_page_that_pdfium_cannot_read_is_read_by_pypdf(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf(["One.", "Two."]))
    with SecondOpinion(Source(path)) as second:
        found = list(read_pages(_Engine([ValueError("broken")] * 2), second))
    assert [(page.number, page.text) for page in found] == [(1, "One."), (2, "Two.")]
    assert found[0].warning == "Page 1 was read by pypdf, as pypdfium2 could not (broken)."


def test_a_page_of_unknown_characters_is_read_by_pypdf_where_that_knows_them(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf(["One.", "Two."]))
    with SecondOpinion(Source(path)) as second:
        found = list(read_pages(_Engine(["\x01ne\x02\x03", "Two, in part \x04"]), second))
    assert [(page.text, page.unclear) for page in found] == [("One.", False), ("Two, in part", False)]


def test_pypdf_is_not_asked_again_and_again_about_characters_that_it_does_not_know_either(tmp_path: Path) -> None:
    pages = 9
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf(["/g12/g7/g140"] * pages))
    with SecondOpinion(Source(path)) as second:
        asked: list[int] = []
        read = second.text
        second.text = lambda index, *, of: asked.append(index) or read(index, of=of)  # type: ignore[method-assign,func-returns-value]
        found = list(read_pages(_Engine(["\x01\x02 9"] * pages), second))
    assert [page.text for page in found] == ["9"] * pages
    assert asked == [0, 1, 2]


def test_fonts_without_text_call_for_the_second_opinion(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf(["One.", "Two."]))
    with SecondOpinion(Source(path)) as second:
        engine, found = best_reading(_Engine(["", ""]), second)
        assert engine.name == "pypdf"
        assert [(page.number, page.text) for page in found] == [(1, "One."), (2, "Two.")]


def test_a_scan_needs_no_second_opinion(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(scanned_pdf(2))
    with SecondOpinion(Source(path)) as second:
        assert not second.may_find_text()


_TEXT = b"BT /F1 12 Tf 9 9 Td (Text.) Tj ET"


@pytest.mark.parametrize(
    ("page", "form", "asked"),
    [
        (b"1 1 9 9 re f", b"2 2 9 9 re f", False),
        (b"1 1 9 9 re f /Form Do", b"2 2 9 9 re f", False),
        (_TEXT.replace(b"Tj", b"'"), b"", True),
        (b"BT /F1 12 Tf 9 9 Td [(Te) 3 (xt.)] TJ ET", b"", True),
        (b'BT /F1 12 Tf 1 1 (Text.) " ET', b"", True),
        (b"/Form Do", _TEXT, True),
        (b"/Form Do", b"/Inner Do", True),
    ],
    ids=["a drawing", "with a form", "'", "TJ", '"', "text in a form", "a form in a form"],
)
def test_a_second_opinion_is_asked_for_where_an_operator_shows_text(page: bytes, form: bytes, asked: bool) -> None:
    """There are four such operators, on the page or in a form that is drawn on it. Fonts are named in all of these
    files."""
    drawn = b"<< /Type /XObject /Subtype /Form /BBox [0 0 99 99] /Length %d >>\nstream\n%s\nendstream"
    resources = "<< /Font << /F1 3 0 R >> /XObject << /Form 7 0 R >> >>"
    content = raw_pdf(page, resources=resources, more=[drawn % (len(form), form)])
    with SecondOpinion(Source(content)) as second:
        assert second.may_find_text() is asked


def test_what_cannot_be_looked_into_may_hold_text() -> None:
    content = raw_pdf(b"packed in some way", filters="/Filter /NoSuchFilter")
    with SecondOpinion(Source(content)) as second:
        assert second.may_find_text()


def test_bookmarks_are_sections_from_where_their_titles_stand(tmp_path: Path) -> None:
    from io import BytesIO

    from reportlab.pdfgen.canvas import Canvas

    buffer = BytesIO()
    canvas = Canvas(buffer)
    for number, (level, title) in enumerate([(0, "Intake"), (1, "Gates"), (0, "Turbine")]):
        canvas.drawString(60, 780, "Before it.")
        canvas.drawString(60, 760, title)
        canvas.bookmarkPage(str(number))
        canvas.addOutlineEntry(title, str(number), level)
        canvas.showPage()
    canvas.drawString(60, 780, "The last page.")
    canvas.save()
    found = [frame for frame in frames(tmp_path, buffer.getvalue()) if isinstance(frame, Text)]
    place = found[0].text.find("Intake")
    assert place > 0
    assert [frame.sections for frame in found] == [
        ((place, ("Intake",)),),
        ((0, ("Intake",)), (place, ("Intake", "Gates"))),
        ((0, ("Intake", "Gates")), (place, ("Turbine",))),
        ((0, ("Turbine",)),),
    ]
    path = tmp_path / "a.pdf"
    later = [frame for frame in module.read(Source(path), 3) if isinstance(frame, Text)]
    assert later == found[2:], "the same when reading begins at a later page"


def test_a_file_whose_page_tree_is_gone_gives_the_pages_that_are_there(tmp_path: Path) -> None:
    """The damage is in the midst of the file. Its catalog and its pages are whole."""
    content = raw_pdf(b"BT /F1 12 Tf 72 700 Td (Still here) Tj ET").replace(b"2 0 obj", b"2 0 gone")
    found = [frame for frame in frames(tmp_path, content[: content.index(b"xref")]) if isinstance(frame, Text)]
    assert [(frame.number, frame.text) for frame in found] == [(1, "Still here"), (2, "")]
    assert found[1].problem == "the file is cut short or damaged; pages behind this may be missing"


def test_a_file_that_is_cut_short_in_its_trailer_is_read(tmp_path: Path) -> None:
    content = raw_pdf(b"BT /F1 12 Tf 72 700 Td (Still here) Tj ET")
    cut = content[: content.index(b"/Root")] + b"/Root 1 0 R /ID [<904e5a16"
    assert texts(frames(tmp_path, cut)) == [(1, "Still here"), (2, "")]


def test_a_damaged_file_does_not_ask_for_a_password_because_the_one_before_it_did(tmp_path: Path) -> None:
    """pdfium keeps the reason of its last failure, and gives it again where it has none."""
    with pytest.raises(PasswordRequired):
        frames(tmp_path, pdf(["For some."], password="secret"))
    content = raw_pdf(b"BT /F1 12 Tf 72 700 Td (Still here) Tj ET").replace(b"/Pages 2 0 R", b"/Peges 2 0 R")
    assert texts(frames(tmp_path, content))[0] == (1, "Still here")


_FAR_EAST = b"<< /Type /Font /Subtype /Type0 /BaseFont /SimSun /Encoding /%s /DescendantFonts [8 0 R] >>"
_FAR_EAST_FONT = (
    b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /SimSun /DW 1000 "
    b"/CIDSystemInfo << /Registry (Adobe) /Ordering (%s) /Supplement 2 >> >>"
)


@pytest.mark.parametrize(
    ("encoding", "ordering", "codes", "text"),
    [
        (b"UniGB-UCS2-H", b"GB1", [b"6c34", b"95f8"], "水闸"),
        (b"GBK-EUC-H", b"GB1", [b"cbae", b"d5a2"], "水闸"),
        (b"UniCNS-UCS2-H", b"CNS1", [b"6c34", b"9598"], "水閘"),
        (b"90ms-RKSJ-H", b"Japan1", [b"9085", b"96e5"], "水門"),
        (b"UniKS-UCS2-H", b"Korea1", [b"c218", b"bb38"], "수문"),
    ],
)
def test_characters_of_a_font_that_is_not_in_the_file_are_read_where_they_are_placed_one_by_one(
    tmp_path: Path, encoding: bytes, ordering: bytes, codes: list[bytes], text: str
) -> None:
    """Recognized text and vertical writing are placed so. No such font need be installed."""
    shown = b"BT /F1 12 Tf 72 700 Td " + b" 12 0 Td ".join(b"<%s> Tj" % code for code in codes) + b" ET"
    more = [_FAR_EAST % encoding, _FAR_EAST_FONT % ordering]
    content = raw_pdf(shown, resources="<< /Font << /F1 7 0 R >> >>", more=more)
    found = frames(tmp_path, content)
    assert texts(found) == [(1, text)]
    assert found[0] == Opened("pdf", "pypdfium2", paged=True, pages=1, seeks=True)


def test_columns_of_vertical_writing_are_lines_of_text(tmp_path: Path) -> None:
    """Otherwise no word of them could be found. Because of the line across the page, pdfium takes all of it for
    horizontal."""
    columns = ["水門を開く時は、警報を鳴らす。", "記録は毎日残す。"]
    placed = b"BT /F1 12 Tf 72 780 Td <%s> Tj ET " % ("水門の管理" * 9).encode("utf-16-be").hex().encode()
    for place, column in enumerate(columns):
        characters = b"".join(b"<%s> Tj 0 -16 Td " % each.encode("utf-16-be").hex().encode() for each in column)
        placed += b"BT /F1 12 Tf %d 700 Td %sET " % (300 - 200 * place, characters)
    more = [_FAR_EAST % b"UniJIS-UCS2-H", _FAR_EAST_FONT % b"Japan1"]
    found = frames(tmp_path, raw_pdf(placed, resources="<< /Font << /F1 7 0 R >> >>", more=more))
    assert texts(found) == [(1, "水門の管理" * 9 + "\n" + "".join(columns))]


def _annotated(*annotations: str, shown: bytes = b"BT /F1 12 Tf 72 700 Td (Inspection of gate 4) Tj ET") -> bytes:
    references = " ".join(f"{number} 0 R" for number in range(8, 8 + len(annotations)))
    more = [
        f"<< /Fields [{references}] >>".encode(),
        *(f"<< /Type /Annot /Rect [9 9 99 99] {each} >>".encode() for each in annotations),
    ]
    return raw_pdf(shown, more=more, of_page=f"/Annots [{references}]", of_catalog="/AcroForm 7 0 R")


_FIELD = "/Subtype /Widget /T (a) /FT"


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (f"{_FIELD} /Tx /V (Anna Weir)", "Anna Weir"),
        (f"{_FIELD} /Ch /V (b) /Opt [[(a) (Opened)] [(b) (Shut)]]", "Shut"),
        (f"{_FIELD} /Ch /Ff 2097152 /V [(a) (c)] /Opt [(a) (b) (c)]", "a\nc"),
        (f"{_FIELD} /Tx /Ff 8192 /V (secret)", ""),
        (f"{_FIELD} /Btn /V /Yes /AS /Yes", ""),
        ("/Subtype /FreeText /Contents (Typed on it)", "Typed on it"),
        ("/Subtype /Text /Contents (The seal leaks.)", "The seal leaks."),
        ("/Subtype /Highlight /Contents (See page 2)", "See page 2"),
        ("/Subtype /Highlight /Contents (gate\n4)", ""),
        ("/Subtype /Text /Contents (Inspect)", "Inspect"),
        ("/Subtype /Text /F 2 /Contents (Hidden)", ""),
        ("/Subtype /Link /Contents (Where it leads)", ""),
        ("/Subtype /Popup /Contents (Said already)", ""),
    ],
    ids=lambda each: str(each)[:40],
)
def test_what_was_written_on_a_page_is_read_once_behind_its_text(tmp_path: Path, annotation: str, text: str) -> None:
    """These are form fields that are filled in, texts that were typed on the page, and comments, as a reader sees
    them."""
    found = frames(tmp_path, _annotated(annotation, annotation))
    assert texts(found) == [(1, "\n".join(filter(None, ("Inspection of gate 4", text))))]
    assert not [frame for frame in found if isinstance(frame, Warned)]


def test_a_field_is_read_that_lost_its_form_when_its_page_was_taken_out_of_another_file(tmp_path: Path) -> None:
    content = _annotated(f"{_FIELD} /Tx /V (Anna Weir)").replace(b"/AcroForm", b"/AcroFrom")
    assert texts(frames(tmp_path, content)) == [(1, "Inspection of gate 4\nAnna Weir")]


def test_a_value_that_stands_above_its_field_is_read(tmp_path: Path) -> None:
    content = raw_pdf(
        b"",
        more=[
            b"<< /T (a) /FT /Tx /V (Anna Weir) /Kids [8 0 R] >>",
            b"<< /Type /Annot /Subtype /Widget /Rect [9 9 99 99] /Parent 7 0 R >>",
        ],
        of_page="/Annots [8 0 R]",
        of_catalog="/AcroForm << /Fields [7 0 R] >>",
    )
    assert texts(frames(tmp_path, content)) == [(1, "Anna Weir")]


def test_a_page_with_nothing_but_comments_says_so(tmp_path: Path) -> None:
    """The text of the page itself may be in a picture."""
    found = frames(tmp_path, _annotated("/Subtype /Text /Contents (The seal leaks.)", shown=b"1 1 9 9 re f"))
    assert texts(found) == [(1, "The seal leaks.")]
    assert Warned("Page 1 has no text of its own; what is read is in form fields and comments.") in found


def _with_files(**files: bytes) -> bytes:
    from io import BytesIO

    import pypdf

    writer = pypdf.PdfWriter(clone_from=BytesIO(pdf(["The cover."])))
    for name, content in files.items():
        writer.add_attachment(name.replace("_", "."), content)
    buffer = BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def test_files_in_a_file_are_parts_behind_its_last_page(tmp_path: Path) -> None:
    """A portfolio consists of such files, behind a page that says with which program to open it."""
    path = tmp_path / "a.pdf"
    path.write_bytes(_with_files(minutes_pdf=pdf(["First.", "Second."]), notes_txt=b"Notes.", empty_txt=b""))
    source = Source(path)
    found = list(module.read(source))
    read = [frame for frame in found if isinstance(frame, Text)]
    assert [(frame.number, frame.text.strip()) for frame in read] == [
        (1, "The cover."),
        (2, "First."),
        (3, "Second."),
        (4, "Notes."),
    ]
    assert [frame.sections for frame in read[1:]] == [
        ((0, ("minutes.pdf",)),),
        ((0, ("minutes.pdf",)),),
        ((0, ("notes.txt",)),),
    ]
    assert Warned("empty.txt is empty, which is not read.") in found
    later = [frame for frame in module.read(source, 3) if isinstance(frame, Text)]
    assert later == read[2:], "the same when reading begins at a later page"


def test_a_file_in_an_annotation_is_a_part_too(tmp_path: Path) -> None:
    content = raw_pdf(
        b"BT /F1 12 Tf 72 700 Td (Text.) Tj ET",
        more=[
            b"<< /Type /Annot /Subtype /FileAttachment /Rect [9 9 99 99] /FS 8 0 R >>",
            b"<< /Type /Filespec /F (notes.txt) /UF (notes.txt) /EF << /F 9 0 R >> >>",
            b"<< /Type /EmbeddedFile /Length 6 >>\nstream\nNotes.\nendstream",
        ],
        of_page="/Annots [7 0 R]",
        pages=3,
    )
    source = Source(content)
    read = [text.strip() for _, text in texts(list(module.read(source)))]
    assert read == ["Text."] * 3 + ["Notes."] * 3
    assert [number for number, _ in texts(list(module.read(source, 3)))] == [3, 4, 5, 6]


def test_what_a_program_attached_for_itself_is_none_of_its_text() -> None:
    """Some programs attach their settings, or repeat the formulas of the text."""
    settings = {"Press Quality.joboptions": b"<< /ASCII85EncodePages false >>"}
    content = _with_files(formula_xml=b"<?xml version='1.0'?>\n<math><mi>x</mi></math>", **settings)
    assert texts(list(module.read(Source(content)))) == [(1, "The cover.")]


def test_files_in_a_file_unfold_to_no_more_than_a_limit() -> None:
    content = _with_files(notes_txt=b"Notes. " * 1000)
    limits = ReadLimits(archive_bytes=5000)
    with pytest.raises(LimitHit, match="PENSTOCK_EXTRACT_ARCHIVE_BYTES"):
        list(module.read(Source(content, limits=limits)))


_LETTERS = (
    b"/CIDInit /ProcSet findresource begin begincmap 1 begincodespacerange <00> <ff> endcodespacerange "
    b"5 beginbfchar <61> <0645> <62> <0631> <63> <062d> <64> <0628> <65> <0627> endbfchar endcmap end"
)


@pytest.mark.parametrize("spelled", [True, False])
def test_what_is_written_from_the_right_is_read_from_there(tmp_path: Path, *, spelled: bool) -> None:
    """The glyphs are placed from left to right. It makes no difference whether each is said to spell its letter."""
    word = "مرحبا"
    shown = b"BT /F1 12 Tf 72 700 Td "
    for code, letter in zip(b"edcba", reversed(word), strict=True):
        glyph = b"(%c) Tj" % code
        if spelled:
            glyph = b"/Span << /ActualText <feff%04x> >> BDC %s EMC" % (ord(letter), glyph)
        shown += glyph + b" 7 0 Td "
    content = raw_pdf(
        shown + b"ET",
        resources="<< /Font << /F1 7 0 R >> >>",
        more=[
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /ToUnicode 8 0 R >>",
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(_LETTERS), _LETTERS),
        ],
    )
    assert texts(frames(tmp_path, content)) == [(1, word)]


_PACKETS = ("template", "datasets")
_XFA = """<xdp:xdp xmlns:xdp="http://ns.adobe.com/xdp/"><template xmlns="http://www.xfa.org/schema/xfa-template/3.3/">
<subform name="form1"><desc><text>made by a program</text></desc>
<draw><value><text>Application for water rights</text></value></draw>
<field name="who"><caption><value><text>Applicant</text></value></caption>
<validate><message><text>must not be empty</text></message></validate>
<event><script>app.alert(1)</script></event><items><text>one of many</text></items>
<value><text>nobody yet</text></value></field>
<draw presence="hidden"><value><text>not shown</text></value></draw>
<draw><value><exData><body><p>First <b>paragraph</b></p><p>Second</p></body></exData></value></draw></subform>
</template>
<datasets><lists><a>not chosen</a></lists><data><form1><who>Anna Weir</who></form1></data></datasets></xdp:xdp>"""


def test_a_form_that_only_adobe_shows_is_a_page_behind_the_one_that_says_so(tmp_path: Path) -> None:
    packets = ((name, _XFA[_XFA.index(f"<{name}") : _XFA.index(f"</{name}>")] + f"</{name}>") for name in _PACKETS)
    streams = [(name, packet.encode()) for name, packet in packets]
    entries = " ".join(f"({name}) {9 + place} 0 R" for place, (name, _) in enumerate(streams))
    more = [
        b"<< /Fields [] /XFA 8 0 R >>",
        f"[{entries}]".encode(),
        *(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(packet), packet) for _, packet in streams),
    ]
    content = raw_pdf(
        b"BT /F1 12 Tf 72 700 Td (Please wait...) Tj ET",
        more=more,
        of_catalog="/AcroForm 7 0 R /NeedsRendering true",
    )
    found = frames(tmp_path, content)
    assert texts(found) == [
        (1, "Please wait..."),
        (2, "Application for water rights\nApplicant\nnobody yet\nFirst paragraph\nSecond\nAnna Weir"),
    ]
    assert Warned("It is a form that only Adobe's programs show. What is on it is read as page 2.") in found


def test_a_hyphen_stays_within_a_line_and_joins_two() -> None:
    """Its code is that of the soft hyphen, which other formats do not show."""
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    shown = b"BT /F1 12 Tf 72 700 Td (long\\255term care of the pen\\255) Tj 0 -14 Td (stock) Tj ET"
    content = raw_pdf(shown, resources="<< /Font << /F1 7 0 R >> >>", more=[font])
    assert texts(list(module.read(Source(content)))) == [(1, "long-term care of the penstock")]


@pytest.mark.parametrize(
    "annotation",
    [
        "/Subtype /Stamp",
        "/Subtype /FreeText",
        f"{_FIELD} /Sig /V << /Type /Sig >>",
        "/Subtype /Stamp /Contents (Approved)",
    ],
)
def test_what_a_signature_or_stamp_shows_is_read(annotation: str) -> None:
    """The text may be only in how they look. Some also hold it as text, so that it is in the file twice."""
    look = b"BT /F1 12 Tf 2 2 Td (Approved) Tj 0 -12 Td (by A. Weir) Tj ET"
    content = raw_pdf(
        b"BT /F1 12 Tf 72 700 Td (Inspection of gate 4) Tj ET",
        more=[
            f"<< /Fields [{'8 0 R' if '/FT' in annotation else ''}] >>".encode(),
            f"<< /Type /Annot /Rect [9 9 99 99] {annotation} /AP << /N 9 0 R >> >>".encode(),
            b"<< /Type /XObject /Subtype /Form /BBox [0 -9 90 40] /Resources 6 0 R /Length %d >>\nstream\n%s\nendstream"
            % (len(look), look),
        ],
        of_page="/Annots [8 0 R]",
        of_catalog="/AcroForm 7 0 R",
    )
    assert texts(list(module.read(Source(content)))) == [(1, "Inspection of gate 4\nApproved\nby A. Weir")]
