"""A sample file of every format, made on the spot, with the text that reading it must give, in order. Office documents
are written by libraries that the reader does not use, so that the two cannot share an error."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from email.message import EmailMessage
from xml.sax.saxutils import escape

from tests.support.generated_prose import Prose
from tests.support.pdf_files import pdf

_SECTIONS = 6
Rows = list[list[str]]


@dataclass(frozen=True)
class SampleFile:
    """A file, and all of its text in reading order."""

    name: str
    content: bytes
    text: str


class _Content:
    """The content of a document: sections, each with a heading, paragraphs and a table."""

    def __init__(self, seed: int, sections: int = _SECTIONS) -> None:
        prose = Prose(seed, headings=0)
        self.sections: list[tuple[str, list[str], Rows]] = [
            (
                f"Section {number} {prose.words(3)}",
                [prose.paragraph() for _ in range(3)],
                [[prose.words(2) for _ in range(3)] for _ in range(4)],
            )
            for number in range(1, sections + 1)
        ]
        self.note, self.comment, self.header, self.footer = (
            f"{kind} {prose.words(5)}" for kind in ("Note", "Comment", "Header", "Footer")
        )

    @property
    def text(self) -> str:
        return "\n".join(_section_text(*each) for each in self.sections)


def _section_text(heading: str, paragraphs: list[str], rows: Rows) -> str:
    return "\n".join([heading, *paragraphs, *(" ".join(row) for row in rows)])


def _saved(save: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    save(buffer)
    return buffer.getvalue()


def docx_file(seed: int = 1, sections: int = _SECTIONS) -> SampleFile:
    import docx

    content, document = _Content(seed, sections), docx.Document()
    document.sections[0].header.paragraphs[0].text = content.header
    document.sections[0].footer.paragraphs[0].text = content.footer
    expected = [content.header]
    for heading, paragraphs, rows in content.sections:
        document.add_heading(heading, 1)
        for paragraph in paragraphs:
            run = document.add_paragraph().add_run(paragraph)
        table = document.add_table(len(rows), len(rows[0]))
        for cells, row in zip(table.rows, rows, strict=True):
            for cell, text in zip(cells.cells, row, strict=True):
                cell.text = text
        expected.append(_section_text(heading, paragraphs, rows))
    run = document.add_paragraph().add_run("The last paragraph.")
    document.add_comment([run], text=content.comment, author="A reader")
    expected += ["The last paragraph.", content.comment, content.footer]
    return SampleFile("report.docx", _saved(document.save), "\n".join(expected))


def pptx_file(seed: int = 2) -> SampleFile:
    import pptx
    from pptx.util import Inches

    content, deck, expected = _Content(seed), pptx.Presentation(), []
    for heading, paragraphs, rows in content.sections:
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = heading
        slide.placeholders[1].text = "\n".join(paragraphs)
        table = slide.shapes.add_table(len(rows), len(rows[0]), 0, 0, Inches(5), Inches(2)).table
        for line, row in enumerate(rows):
            for place, text in enumerate(row):
                table.cell(line, place).text = text
        slide.notes_slide.notes_text_frame.text = f"Notes {content.note}"
        expected += [_section_text(heading, paragraphs, rows), f"Notes {content.note}"]
    return SampleFile("talk.pptx", _saved(deck.save), "\n".join(expected))


def xlsx_file(seed: int = 3) -> SampleFile:
    import openpyxl
    from openpyxl.comments import Comment

    content, book, expected = _Content(seed), openpyxl.Workbook(), []
    book.remove(book.active)
    for number, (heading, paragraphs, rows) in enumerate(content.sections):
        sheet = book.create_sheet(f"Sheet of {number}")
        for line in [[heading], *([each] for each in paragraphs), *rows]:
            sheet.append(line)
        sheet.append([number, number + 0.5, date(2024, 2, 29), number == 1, None, "after a gap"])
        sheet["A1"].comment = Comment(content.comment, "A reader")
        expected += [f"Sheet of {number}", _section_text(heading, paragraphs, rows)]
        expected += [f"{number} {number + 0.5} 2024-02-29 {str(number == 1).upper()} after a gap", content.comment]
    return SampleFile("figures.xlsx", _saved(book.save), "\n".join(expected))


def csv_file(seed: int = 4, *, delimiter: str = ",", name: str = "figures.csv") -> SampleFile:
    rows = [row for _, _, each in _Content(seed).sections for row in each]
    lines = [delimiter.join(f'"{cell}{delimiter} ""quoted"""' for cell in row) for row in rows]
    expected = "\n".join(" ".join(f'{cell}{delimiter} "quoted"' for cell in row) for row in rows)
    return SampleFile(name, "\r\n".join(lines).encode(), expected)


def tsv_file() -> SampleFile:
    return csv_file(5, delimiter="\t", name="figures.tsv")


def _html(content: _Content, *, xhtml: bool = False) -> str:
    body = []
    for heading, paragraphs, rows in content.sections:
        body += [f"<h2>{escape(heading)}</h2>", *(f"<p>{escape(each)}</p>" for each in paragraphs), "<table>"]
        body += ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
        body.append("</table>")
    opening = '<html xmlns="http://www.w3.org/1999/xhtml">' if xhtml else "<html>"
    script = "<script>var notShown = 1;</script><style>p { color: red }</style>"
    return f"<!DOCTYPE html>{opening}<head><title>The title</title>{script}</head><body>{''.join(body)}</body></html>"


def html_file(seed: int = 6) -> SampleFile:
    content = _Content(seed)
    return SampleFile("page.html", _html(content).encode(), f"The title\n{content.text}")


def epub_file(seed: int = 7) -> SampleFile:
    chapters = [_Content(seed + number, 2) for number in range(3)]
    names = [f"chapter {number}.xhtml" for number in range(3)]
    items = "".join(
        f'<item id="c{number}" href="{name.replace(" ", "%20")}" media-type="application/xhtml+xml"/>'
        for number, name in enumerate(names)
    )
    spine = "".join(f'<itemref idref="c{number}"/>' for number in range(3))
    package = (
        '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0">'
        '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>The book</dc:title></metadata>'
        f"<manifest>{items}</manifest><spine>{spine}</spine></package>"
    )
    container = (
        '<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0">'
        '<rootfiles><rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles>'
        "</container>"
    )
    members = {"mimetype": "application/epub+zip", "META-INF/container.xml": container, "OEBPS/book.opf": package}
    # The archive has the chapters in reverse order: only the spine gives their order.
    for name, chapter in reversed(list(zip(names, chapters, strict=True))):
        members[f"OEBPS/{name}"] = _html(chapter, xhtml=True)
    expected = "\n".join(f"The title\n{chapter.text}" for chapter in chapters)
    return SampleFile("book.epub", zip_of(members), f"The book\n{expected}")


def eml_file(seed: int = 8) -> SampleFile:
    content, attached = _Content(seed), csv_file(seed)
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = "Grüße vom Wehr", "a@example.org", "b@example.org"
    message.set_content(content.text)
    message.add_alternative(f"<p>{escape(content.text)}</p>", subtype="html")
    message.add_attachment(attached.content, maintype="text", subtype="csv", filename="figures.csv")
    message["Message-ID"] = "<1@example.org>"
    inner = EmailMessage()
    inner["Subject"], inner["From"] = "Forwarded", "c@example.org"
    inner.set_content("What was forwarded.")
    message.add_attachment(inner)
    expected = f"Subject: Grüße vom Wehr From: a@example.org To: b@example.org\n{content.text}\n{attached.text}"
    forwarded = "Subject: Forwarded From: c@example.org What was forwarded."
    return SampleFile("letter.eml", message.as_bytes(), f"{expected}\n{forwarded}")


_ODF = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"'
)


def odt_file(seed: int = 9) -> SampleFile:
    content, body, expected = _Content(seed), [], []
    for heading, paragraphs, rows in content.sections:
        body += [f'<text:h text:outline-level="1">{escape(heading)}</text:h>']
        body += [f"<text:p><text:span>{escape(each)}</text:span></text:p>" for each in paragraphs]
        body.append("<table:table>")
        for row in rows:
            cells = "".join(f"<table:table-cell><text:p>{escape(cell)}</text:p></table:table-cell>" for cell in row)
            body.append(f"<table:table-row>{cells}</table:table-row>")
        body.append("</table:table>")
        expected.append(_section_text(heading, paragraphs, rows))
    note = (
        "<text:note><text:note-citation>1</text:note-citation><text:note-body>"
        f"<text:p>{escape(content.note)}</text:p></text:note-body></text:note>"
    )
    body.append(f"<text:p>Before the note{note} and<text:s/>after<text:tab/>it.</text:p>")
    expected += ["Before the note and after it.", content.note]
    document = f"<office:document-content {_ODF}><office:body><office:text>{''.join(body)}</office:text>"
    margins = (
        f"<style:header><text:p>{escape(content.header)}</text:p></style:header>"
        f"<style:footer><text:p>{escape(content.footer)}</text:p></style:footer>"
    )
    styles = f"<office:document-styles {_ODF}><style:master-page>{margins}</style:master-page>"
    members = {
        "mimetype": "application/vnd.oasis.opendocument.text",
        "content.xml": f"{document}</office:body></office:document-content>",
        "styles.xml": f"{styles}</office:document-styles>",
    }
    return SampleFile("minutes.odt", zip_of(members), "\n".join([content.header, *expected, content.footer]))


def rtf_file(seed: int = 10) -> SampleFile:
    content, body, expected = _Content(seed), [], []
    for heading, paragraphs, rows in content.sections:
        body.append(rf"\pard\s1 {_rtf(heading)}\par")
        body += [rf"\pard {_rtf(each)}\par" for each in paragraphs]
        body += [r"\trowd\intbl " + "".join(rf"{_rtf(cell)}\cell " for cell in row) + r"\row" for row in rows]
        expected.append(_section_text(heading, paragraphs, rows))
    body.append(rf"\pard Before the note{{\footnote {_rtf(content.note)}}} and after it: \u1055?\u1088? \'e9.\par")
    expected += ["Before the note and after it: Пр é.", content.note]
    head = r"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}{\stylesheet{\s1 heading 1;}}{\info{\title Not shown}}"
    margins = rf"{{\header {_rtf(content.header)}}}{{\footer {_rtf(content.footer)}}}"
    text = "\n".join([head, margins, *body]) + "}"
    return SampleFile("minutes.rtf", text.encode("ascii"), "\n".join([content.header, *expected, content.footer]))


def _rtf(text: str) -> str:
    return "".join(c if c.isascii() else f"\\u{ord(c)}?" for c in text)


def json_file(seed: int = 11) -> SampleFile:
    content = _Content(seed)
    value = [{"heading": h, "paragraphs": p, "figures": {"number": 1.5, "rows": r}} for h, p, r in content.sections]
    return SampleFile("sections.json", json.dumps(value).encode(), "\n".join(map(_json_text, content.sections)))


def jsonl_file(seed: int = 12) -> SampleFile:
    content = _Content(seed)
    lines = (
        json.dumps({"heading": h, "paragraphs": p, "figures": {"number": 1.5, "rows": r}})
        for h, p, r in content.sections
    )
    return SampleFile("sections.jsonl", "\n".join(lines).encode(), "\n".join(map(_json_text, content.sections)))


def _json_text(section: tuple[str, list[str], Rows]) -> str:
    heading, paragraphs, rows = section
    return "\n".join(
        [
            f"heading: {heading}",
            *(f"paragraphs: {each}" for each in paragraphs),
            "figures.number: 1.5",
            *(f"figures.rows: {cell}" for row in rows for cell in row),
        ]
    )


def xml_file(seed: int = 13) -> SampleFile:
    content, body = _Content(seed), []
    for heading, paragraphs, rows in content.sections:
        body += [f"<section><title>{escape(heading)}</title>", *(f"<para>{escape(each)}</para>" for each in paragraphs)]
        body += ["<row>" + "".join(f"<cell>{escape(cell)}</cell>" for cell in row) + "</row>" for row in rows]
        body.append("</section>")
    return SampleFile("sections.xml", f'<?xml version="1.0"?><doc>{"".join(body)}</doc>'.encode(), content.text)


def markdown_file(seed: int = 14) -> SampleFile:
    text = Prose(seed).text(20_000)
    return SampleFile("guide.md", text.encode(), text)


def text_file(seed: int = 15) -> SampleFile:
    text = Prose(seed, headings=0).text(20_000)
    return SampleFile("notes.txt", text.encode("utf-16"), text)


def pdf_file(seed: int = 16) -> SampleFile:
    prose = Prose(seed, headings=0)
    pages = [prose.text(1500) for _ in range(6)]
    return SampleFile("handbook.pdf", pdf(pages), "\n".join(pages))


def zip_file() -> SampleFile:
    inside = [docx_file(21), text_file(22), pdf_file(23)]
    content = zip_of({f"folder/{each.name}": each.content for each in inside})
    return SampleFile("papers.zip", content, "\n".join(each.text for each in inside))


def zip_of(members: dict[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content, zipfile.ZIP_STORED if name == "mimetype" else None)
    return buffer.getvalue()


MAKERS: dict[str, Callable[[], SampleFile]] = {
    "pdf": pdf_file,
    "docx": docx_file,
    "pptx": pptx_file,
    "xlsx": xlsx_file,
    "csv": csv_file,
    "tsv": tsv_file,
    "html": html_file,
    "epub": epub_file,
    "eml": eml_file,
    "odt": odt_file,
    "rtf": rtf_file,
    "json": json_file,
    "jsonl": jsonl_file,
    "xml": xml_file,
    "markdown": markdown_file,
    "text": text_file,
    "zip": zip_file,
}
