"""Office documents written by hand: the minimum of parts that a document needs, and the parts that a test is about."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from penstock.reading.protocol import Read
from tests.support.direct_reading import reading
from tests.support.sample_files import zip_of

Related = Mapping[str, tuple[str, str | bytes]]
"""The parts that a part refers to: the kind and the content of each, by its name. The name is also the relation's
id."""


def package(
    main: str, content: str, related: Related | None = None, *, of: Mapping[str, Related] | None = None
) -> bytes:
    """An Office package. Names of parts are paths from the root of the archive.

    Args:
        related: the parts that the main part refers to.
        of: the parts that other parts refer to, by the name of the referring part.
    """
    parts: dict[str, str | bytes] = {"_rels/.rels": _relations({main: ("officeDocument", "")}), main: content}
    for part, refers in chain([(main, related or {})], (of or {}).items()):
        folder, _, name = part.rpartition("/")
        parts[f"{folder}/_rels/{name}.rels"] = _relations(refers)
        parts |= {each: inside for each, (_, inside) in refers.items()}
    return zip_of(parts)


def _relations(related: Related) -> str:
    each = (
        f'<Relationship Id="{name}" Type="http://x/{kind}" Target="/{name}"/>' for name, (kind, _) in related.items()
    )
    return f"<Relationships>{''.join(each)}</Relationships>"


def docx(body: str, related: Related | None = None) -> bytes:
    return package(
        "word/document.xml", f'<w:document xmlns:w="w" xmlns:r="r"><w:body>{body}</w:body></w:document>', related
    )


def p(text: str, properties: str = "") -> str:
    """A paragraph of a DOCX."""
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def pptx(*slides: str, of: Mapping[str, Related] | None = None) -> bytes:
    """A PPTX. `slides` has the shapes of each slide; the first slide is `ppt/slides/1.xml`."""
    names = [f"ppt/slides/{number}.xml" for number in range(1, len(slides) + 1)]
    listed = "".join(f'<p:sldId id="1" r:id="{name}"/>' for name in names)
    deck = f'<p:presentation xmlns:p="p" xmlns:r="r"><p:sldIdLst>{listed}</p:sldIdLst></p:presentation>'
    parts = {
        name: ("slide", f'<p:sld xmlns:p="p" xmlns:a="a">{slide}</p:sld>')
        for name, slide in zip(names, slides, strict=True)
    }
    return package("ppt/presentation.xml", deck, parts, of=of)


def shape(text: str, placeholder: str = "") -> str:
    """A shape with text on a slide."""
    kind = f'<p:nvPr><p:ph type="{placeholder}"/></p:nvPr>' if placeholder else ""
    return f"<p:sp>{kind}<p:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp>"


def xlsx(
    rows: str, related: Related | None = None, *, styles: str = "", of: Mapping[str, Related] | None = None
) -> bytes:
    """An XLSX of one sheet. `related` has the parts that the sheet refers to."""
    sheet = "xl/worksheets/1.xml"
    book = f'<workbook xmlns:r="r"><sheets><sheet name="One" r:id="{sheet}"/></sheets></workbook>'
    parts = {
        sheet: ("worksheet", f"<worksheet><sheetData>{rows}</sheetData></worksheet>"),
        "xl/styles.xml": ("styles", f"<styleSheet>{styles}</styleSheet>"),
    }
    return package("xl/workbook.xml", book, parts, of={sheet: related or {}, **(of or {})})


def odt(body: str, **members: str) -> dict[str, str | bytes]:
    """The members of an OpenDocument text."""
    prefixes = " ".join(f'xmlns:{each}="{each}"' for each in ("o", "text", "table", "draw", "xlink", "style"))
    return {
        "mimetype": "application/vnd.oasis.opendocument.text",
        "content.xml": f"<o:document-content {prefixes}>{body}</o:document-content>",
        **members,
    }


def frames(content: bytes, name: str = "") -> list[Read]:
    return reading(content, name).frames


def text_of(content: bytes, name: str = "") -> str:
    """The whole text, which must be read without a problem."""
    found = reading(content, name)
    assert [text.problem for text in found.texts if text.problem is not None] == []
    return "\n".join(text.text for text in found.texts).strip()


def sections_of(content: bytes) -> list[tuple[str, ...]]:
    return [path for text in reading(content, "").texts for _, path in text.sections]


def warnings_of(content: bytes) -> list[str]:
    return reading(content, "").warnings


def kind_of(content: bytes) -> str:
    return reading(content, "").kind
