"""Hostile files, each made by a few lines of code. `python -m tests.support.hostile` reads all of them and writes the
outcome of each into docs/files.md."""

from __future__ import annotations

import io
import resource
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from email.message import EmailMessage
from pathlib import Path

from pypdf import PdfWriter

from penstock.domain.errors import Permanent
from penstock.reading.limits import ReadLimits
from penstock.reading.sandbox.reader import ChildReader
from tests.support.pdf_files import bomb_pdf, long_pdf, pdf, pdf_of_objects, raw_pdf, scanned_pdf
from tests.support.sample_files import MAKERS, docx_file, zip_of

LIMITS = ReadLimits(seconds=120, cpu_seconds=100, memory_bytes=1_000_000_000)
SECRET = "secret-of-another-file"

TEXT, PARTIAL, NOTHING = "text", "partial", "no_text"
UNREADABLE, LIMIT, UNSUPPORTED, EMPTY = "unreadable", "limit_hit", "unsupported_type", "empty_file"


@dataclass(frozen=True)
class Case:
    """A hostile file, and the outcomes that are acceptable."""

    name: str
    make: Callable[[], bytes]
    ends: frozenset[str]
    setting: str = ""
    """The suffix of the setting that the error must name as the limit. It is empty where any end will do."""


@dataclass(frozen=True)
class Outcome:
    end: str
    said: str
    seconds: float
    peak: int
    """The peak of the child's resident memory, in bytes."""
    text: str
    """The first million characters of the text."""


def read(reader: ChildReader, path: Path, name: str) -> Outcome:
    began, text, problems, size = time.monotonic(), "", [], 0
    end = said = ""
    with reader.read(path, name=name, declared=None) as reading:
        try:
            for page in reading:
                size += len(page.text.strip())
                text = (text + page.text)[:1_000_000] if len(text) < 1_000_000 else text
                problems += [page.problem] if page.problem else []
        except Permanent as error:
            end, said = error.code, str(error)
    if not end:
        said = "; ".join([*problems, *reading.warnings])[:200]
        end = (PARTIAL if problems else TEXT) if size else (UNREADABLE if problems else NOTHING)
    return Outcome(end, said, time.monotonic() - began, reading.peak, text)


# Archives


def _repeated(
    member: str,
    block: bytes,
    count: int,
    *,
    around: tuple[bytes, bytes] = (b"", b""),
    others: dict[str, str] | None = None,
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in (others or {}).items():
            archive.writestr(name, content)
        with archive.open(member, "w", force_zip64=True) as stream:
            stream.write(around[0])
            for _ in range(count):
                stream.write(block)
            stream.write(around[1])
    return buffer.getvalue()


def office(main: str, parts: dict[str, str]) -> dict[str, str]:
    """The parts of an Office document. The first of `parts` is the main part."""
    target = next(iter(parts))
    relation = f'<Relationship Id="r1" Type="http://x/officeDocument" Target="{target}"/>'
    return {"_rels/.rels": f"<Relationships>{relation}</Relationships>", main: "<x/>"} | parts


def _relations(kind: str, target: str) -> str:
    return f'<Relationships><Relationship Id="r1" Type="http://x/{kind}" Target="{target}"/></Relationships>'


def xml_in(kind: str, doctype: str, entity: str) -> bytes:
    """A document of this kind whose text is an entity that its document type declares."""
    head = f'<?xml version="1.0"?>{doctype}'
    match kind:
        case "docx":
            body = f"<document><body><p><r><t>Begin {entity} end</t></r></p></body></document>"
            return zip_of(dict(office("word/document.xml", {"word/document.xml": head + body})))
        case "pptx":
            slide = f"<sld><sp><txBody><p><r><t>Begin {entity} end</t></r></p></txBody></sp></sld>"
            deck = '<presentation xmlns:r="r"><sldIdLst><sldId id="1" r:id="r1"/></sldIdLst></presentation>'
            parts = {"ppt/presentation.xml": deck, "ppt/slides/slide1.xml": head + slide}
            parts["ppt/_rels/presentation.xml.rels"] = _relations("slide", "slides/slide1.xml")
            return zip_of(dict(office("ppt/presentation.xml", parts)))
        case "xlsx":
            sheet = f'<worksheet><row><c t="inlineStr"><is><t>Begin {entity} end</t></is></c></row></worksheet>'
            book = '<workbook xmlns:r="r"><sheets><sheet name="One" sheetId="1" r:id="r1"/></sheets></workbook>'
            parts = {"xl/workbook.xml": book, "xl/worksheets/sheet1.xml": head + sheet}
            parts["xl/_rels/workbook.xml.rels"] = _relations("worksheet", "worksheets/sheet1.xml")
            return zip_of(dict(office("xl/workbook.xml", parts)))
        case "odt":
            body = f"<document-content><body><text><p>Begin {entity} end</p></text></body></document-content>"
            return zip_of({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": head + body})
        case "epub":
            container = '<container><rootfile full-path="book.opf"/></container>'
            items = '<manifest><item id="c" href="c.xhtml"/></manifest><spine><itemref idref="c"/></spine>'
            package = f"{head}<package><title>Begin {entity} end</title>{items}</package>"
            chapter = f"<html><body><p>Begin {entity} end</p></body></html>"
            members = {"mimetype": "application/epub+zip", "META-INF/container.xml": container}
            return zip_of({**members, "book.opf": package, "c.xhtml": head + chapter})
    return f"{head}<doc>Begin {entity} end</doc>".encode()


def _laughs() -> str:
    lines = ['<!ENTITY a0 "lol lol lol lol lol">']
    lines += [f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10)]
    return f"<!DOCTYPE x [{''.join(lines)}]>"


def _external() -> str:
    place = Path(tempfile.gettempdir()) / "penstock-hostile-secret"
    place.write_text(SECRET)
    return f'<!DOCTYPE x [<!ENTITY e SYSTEM "file://{place}">]>'


def nested_zip(levels: int) -> bytes:
    content = zip_of({"a.txt": "At the bottom."})
    for level in range(levels - 1):
        content = zip_of({f"{level}.zip": content, f"{level}.txt": f"Level {level}."})
    return content


def overlapping_zip(count: int) -> bytes:
    """A ZIP archive whose directory entries all point to the same bytes."""
    content = bytearray(zip_of({"a.txt": "a" * 1_000_000}))
    directory = content.find(b"PK\x01\x02")
    end = content.find(b"PK\x05\x06")
    entry = bytes(content[directory:end])
    entries = b"".join(entry.replace(b"a.txt", f"{number:05}".encode()) for number in range(count))
    tail = bytearray(content[end:])
    tail[8:10] = tail[10:12] = count.to_bytes(2, "little")
    tail[12:16] = len(entries).to_bytes(4, "little")
    return bytes(content[:directory]) + entries + bytes(tail)


NAMES = {
    "../../../etc/passwd.txt": "up",
    "/etc/shadow.txt": "absolute",
    "a%2Fb%2e%2e.txt": "escaped",
    "Gru\u0308n.txt": "decomposed",
    "gnp.\u202etxt.exe.txt": "turned",
    "🌊🌊.txt": "waves",
    "C:\\windows\\system.txt": "windows",
    f"{'n' * 1020}.txt": "long",
}


# PDFs


_CONTENT = "<< /Length 41 >>\nstream\nBT /F1 12 Tf 72 700 Td (Still here) Tj ET \nendstream"
_FONT = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"


def _one_page(page: str = "", resources: str = "/Font << /F1 4 0 R >>", *more: str) -> list[bytes]:
    """The objects of a PDF of one page. `page` and `resources` are entries of its dictionaries."""
    box = "" if "MediaBox" in page else "/MediaBox [0 0 595 842]"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
        f"<< /Type /Page /Parent 2 0 R {box} /Contents 5 0 R /Resources << {resources} >> {page} >>",
        _FONT,
        _CONTENT,
        *more,
    ]
    return [each.encode() for each in objects]


def recursive_pages() -> bytes:
    objects = _one_page()
    objects[1] = b"<< /Type /Pages /Count 1000000 /Kids [2 0 R 2 0 R 3 0 R] /Parent 2 0 R >>"
    return pdf_of_objects(objects)


def object_stream_loop() -> bytes:
    loop = "<< /Type /ObjStm /N 1 /First 4 /Extends 6 0 R /Length 10 >>\nstream\n6 0 << >> \nendstream"
    return pdf_of_objects(_one_page("", "/Font << /F1 4 0 R >>", loop, "7 0 R"))


def absurd_image() -> bytes:
    image = (
        "<< /Type /XObject /Subtype /Image /Width 2000000000 /Height 2000000000 /BitsPerComponent 8 "
        "/ColorSpace /DeviceRGB /Length 3 >>\nstream\nabc\nendstream"
    )
    objects = _one_page("", "/Font << /F1 4 0 R >> /XObject << /I 6 0 R >>", image)
    objects[4] = b"<< /Length 47 >>\nstream\nBT /F1 12 Tf 72 700 Td (Still here) Tj ET /I Do\nendstream"
    return pdf_of_objects(objects)


def many_annotations() -> bytes:
    """A PDF whose page refers to one comment half a million times."""
    note = b"<< /Type /Annot /Subtype /Text /Rect [9 9 99 99] /Contents (%s) >>" % (b"Still here " * 900)
    return raw_pdf(b"", more=[b"[%s]" % (b"8 0 R " * 500_000), note], of_page="/Annots 7 0 R")


def nested_pdf(depth: int) -> bytes:
    """A PDF to which another is attached, and so on, `depth` times."""
    content = pdf(["The innermost."])
    for _ in range(depth):
        outer = PdfWriter(clone_from=io.BytesIO(raw_pdf(b"")))
        outer.add_attachment("inner.pdf", content)
        buffer = io.BytesIO()
        outer.write(buffer)
        content = buffer.getvalue()
    return content


def laughing_form() -> bytes:
    form = f"{_laughs()}<template><value><text>&a9;</text></value></template>".encode()
    more = [
        b"<< /Fields [] /XFA [(template) 8 0 R] >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(form), form),
    ]
    return raw_pdf(b"", more=more, of_catalog="/AcroForm 7 0 R /NeedsRendering true")


# Others


def sparse_sheet(rows: int) -> bytes:
    cells = "".join(f'<row r="{n}"/>' for n in range(1, rows)) if rows > 2 else ""
    last = '<row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t>at the end</t></is></c></row>'
    first = '<row r="1"><c r="A1" t="inlineStr"><is><t>at the beginning</t></is></c></row>'
    made = xml_in("xlsx", "", "")
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        members: dict[str, str | bytes] = {name: archive.read(name) for name in archive.namelist()}
    sheet = f'<worksheet><dimension ref="A1:XFD1048576"/><sheetData>{first}{cells}{last}</sheetData></worksheet>'
    return zip_of(members | {"xl/worksheets/sheet1.xml": sheet})


def nested_mail(levels: int) -> bytes:
    message = EmailMessage()
    message["Subject"], message["From"], message["Message-ID"] = "Innermost", "a@example.org", "<0@example.org>"
    message.set_content("At the bottom.")
    for level in range(levels):
        outer = EmailMessage()
        outer["Subject"], outer["From"] = f"Level {level}", "a@example.org"
        outer["Message-ID"] = f"<{level + 1}@example.org>"
        outer.set_content(f"Text of level {level}.")
        outer.add_attachment(message)
        message = outer
    return message.as_bytes()


def _cut(kind: str, tenth: int) -> Callable[[], bytes]:
    def make() -> bytes:
        content = MAKERS[kind]().content
        return content[: len(content) * tenth // 10]

    return make


def _of(*ends: str) -> frozenset[str]:
    return frozenset(ends)


def _docx_bomb() -> bytes:
    parts = office("word/document.xml", {"word/document.xml": ""})
    del parts["word/document.xml"]
    text = b"<p><r><t>" + b"bomb " * 20_000 + b"</t></r></p>"
    return _repeated("word/document.xml", text, 2000, around=(b"<document><body>", b"</body></document>"), others=parts)


_XML_KINDS = ("docx", "pptx", "xlsx", "odt", "epub", "xml")
_READS = _of(TEXT, PARTIAL, NOTHING, UNREADABLE)


def cases() -> Iterator[Case]:
    yield Case("empty.pdf", lambda: b"", _of(EMPTY))
    yield from _archives()
    for kind in _XML_KINDS:
        yield Case(f"xxe.{kind}", lambda kind=kind: xml_in(kind, _external(), "&e;"), _of(TEXT))
        yield Case(
            f"billion-laughs.{kind}", lambda kind=kind: xml_in(kind, _laughs(), "&a9;"), _of(LIMIT), "ENTITY_CHARS"
        )
    yield from _pdfs()
    for kind in MAKERS:
        for tenth in range(1, 10):
            ends = _READS | {UNSUPPORTED} if kind in {*_XML_KINDS, "zip"} else _READS
            yield Case(f"cut-at-{tenth}-tenths.{kind}", _cut(kind, tenth), ends)
    yield from _texts()
    yield from _deep()


def _archives() -> Iterator[Case]:
    zeros = b"0" * (1 << 20)
    yield Case("ratio.docx", _docx_bomb, _of(LIMIT), "ARCHIVE_RATIO")
    yield Case("ratio.zip", lambda: _repeated("a.txt", zeros, 400), _of(LIMIT), "ARCHIVE_RATIO")
    yield Case("nested-20.zip", lambda: nested_zip(20), _of(LIMIT), "NESTING")
    yield Case("nested-4.zip", lambda: nested_zip(4), _of(TEXT))
    yield Case(
        "entries-20000.zip", lambda: zip_of({f"{n}.txt": "" for n in range(20_000)}), _of(LIMIT), "ARCHIVE_ENTRIES"
    )
    yield Case("overlapping.zip", lambda: overlapping_zip(5000), _of(UNREADABLE, LIMIT, PARTIAL, TEXT))
    yield Case("names.zip", lambda: zip_of({name: f"It is {what}." for name, what in NAMES.items()}), _of(TEXT))
    for name, what in NAMES.items():
        yield Case(name, lambda what=what: f"It is {what}.".encode(), _of(TEXT))
    yield Case("macros.docm", lambda: _with_member(docx_file().content, "word/vbaProject.bin"), _of(TEXT))


def _with_member(content: bytes, name: str) -> bytes:
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(name, "Sub AutoOpen()")
    return buffer.getvalue()


def _pdfs() -> Iterator[Case]:
    yield Case("unfolds.pdf", lambda: bomb_pdf(1200 << 20), _of(LIMIT, UNREADABLE, NOTHING), "")
    yield Case("xref-loop.pdf", lambda: pdf_of_objects(_one_page(), loop=True), _READS)
    yield Case("object-stream-loop.pdf", object_stream_loop, _READS)
    yield Case("recursive-pages.pdf", recursive_pages, _READS | {LIMIT})
    yield Case("pages-100001.pdf", lambda: raw_pdf(b"", pages=100_001), _of(LIMIT), "PAGES")
    box = "/MediaBox [-1e30 -1e30 1e30 1e30]"
    yield Case("media-box.pdf", lambda: pdf_of_objects(_one_page(box)), _READS)
    yield Case("absurd-image.pdf", absurd_image, _of(TEXT))
    yield Case("annotations-500000.pdf", many_annotations, _of(TEXT))
    yield Case("nested-12.pdf", lambda: nested_pdf(12), _of(LIMIT), "NESTING")
    yield Case("nested-3.pdf", lambda: nested_pdf(3), _of(TEXT))
    yield Case("billion-laughs.pdf", laughing_form, _of(LIMIT), "ENTITY_CHARS")
    yield Case("scan.pdf", lambda: scanned_pdf(3), _of(NOTHING))
    yield Case("a-pdf.docx", lambda: pdf(["It is a PDF."]), _of(TEXT))
    yield Case("pdf-and-zip.pdf", lambda: pdf(["It is a PDF."]) + zip_of({"a.txt": "and a ZIP"}), _of(TEXT))
    yield Case("gif-and-pdf.gif", lambda: b"GIF89a" + bytes(20) + long_pdf(1), _of(UNSUPPORTED, TEXT))


def _texts() -> Iterator[Case]:
    yield Case("bom.txt", lambda: b"\xef\xbb\xbf", _of(NOTHING))
    yield Case("utf-16.csv", lambda: "größe,höhe\n1,2\n".encode("utf-16"), _of(TEXT))
    yield Case("gb18030.txt", lambda: ("水从压力钢管流下来，推动水轮机。" * 50).encode("gb18030"), _of(TEXT))
    yield Case("nul.txt", lambda: b"text\0" * 1000, _of(UNSUPPORTED))
    for suffix in ("txt", "csv", "md", "json", "html"):
        yield Case(f"one-line-of-50-mb.{suffix}", lambda: b"water comes down " * 3_000_000, _of(TEXT))
    yield Case("sparse.xlsx", lambda: sparse_sheet(2), _of(TEXT))
    yield Case("million-rows.xlsx", lambda: sparse_sheet(1_000_000), _of(TEXT))
    yield Case("million-columns.csv", lambda: b"a," * 1_000_000, _of(TEXT))
    yield Case("html-in-disguise.pdf", lambda: b"<!DOCTYPE html><p>It is a page.</p>", _of(TEXT))


def _deep() -> Iterator[Case]:
    yield Case("nested-30.eml", lambda: nested_mail(30), _of(LIMIT), "NESTING")
    yield Case("nested-3.eml", lambda: nested_mail(3), _of(TEXT))
    yield Case("deep.html", lambda: b"<html>" + b"<div>" * 20_000 + b"at the bottom", _of(TEXT, LIMIT))
    yield Case("deep-tables.html", lambda: b"<html>" + b"<table><tr><td>a" * 5_000, _of(TEXT, LIMIT))
    yield Case("deep.json", lambda: b"[" * 1_000_000, _of(TEXT))
    yield Case("deep.xml", lambda: b"<a>" * 1_000_000, _READS)
    yield Case("deep.rtf", lambda: b"{\\rtf1 begin" + b"{" * 1_000_000, _of(TEXT))
    yield Case("deep.md", lambda: b"> " * 1_000_000 + b"[" * 100_000, _of(TEXT))
    header = b"Subject: a\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n"
    part = b"--B\r\nContent-Type: text/plain\r\n\r\npart\r\n"
    yield Case("parts-20000.eml", lambda: header + part * 20_000 + b"--B--\r\n", _of(TEXT))


def main(place: Path) -> None:
    """Read all of them, and write the outcomes between the marks in this page."""
    reader, rows = ChildReader(replace(LIMITS, warm_files=1)), []  # a child for each file, so that peaks are its own
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        for case in cases():
            path = Path(folder) / "file"
            path.write_bytes(case.make())
            outcome = read(reader, path, case.name)
            if outcome.end not in case.ends:
                print("WRONG", case.name, outcome.end, outcome.said)
            rows.append((case.name, outcome))
            print(f"{case.name[:40]:40} {outcome.end:16} {outcome.seconds:6.2f} s {outcome.peak >> 20:5} MiB")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"the parent's peak grew by {grown >> 10} MiB, most of it while making the files")
    _write(place, "hostile", table(rows))


def table(rows: list[tuple[str, Outcome]]) -> list[str]:
    """The rows of the Markdown table. Files that differ only in a number share one row."""
    grouped: dict[str, list[Outcome]] = {}
    for name, outcome in rows:
        key = f"cut at each tenth .{name.rpartition('.')[2]}" if name.startswith("cut-at-") else f"`{shown(name)}`"
        grouped.setdefault(key, []).append(outcome)
    lines = ["| file | ends as | seconds | child, MiB |", "|---|---|---|---|"]
    for key, outcomes in grouped.items():
        ends = ", ".join(dict.fromkeys(each.end for each in outcomes))
        slowest, largest = max(each.seconds for each in outcomes), max(each.peak for each in outcomes)
        lines.append(f"| {key} | {ends} | {slowest:.1f} | {largest >> 20} |")
    return lines


def shown(name: str) -> str:
    plain = name.encode("ascii", "backslashreplace").decode().replace("|", "\\|")
    return plain if len(plain) < 60 else f"{plain[:20]}… ({len(name)} characters)"


def _write(page: Path, mark: str, lines: list[str]) -> None:
    begin, end = f"<!-- {mark}: written by the run -->", f"<!-- end of {mark} -->"
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    after = rest.partition(end)[2]
    page.write_text("\n".join([before + begin, "", *lines, "", end]) + after, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/files.md"))
