"""ZIP: an archive of documents. Each member is read as what it is, under its name, or comes as a file of its own."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.domain.errors import LimitHit, Permanent
from penstock.reading.format import Format, Look, Match
from penstock.reading.formats.zip_members import files_apart, names_in
from penstock.reading.kinds import ZIP
from penstock.reading.parts import within
from penstock.reading.protocol import Opened, Read, Text
from penstock.reading.source import Source
from penstock.reading.text.characters import label
from penstock.reading.text.flow import Flow
from penstock.reading.text.zip_archive import opened


def match(look: Look) -> Match:
    """Any archive that is not a document of another format, such as DOCX."""
    return Match.ALMOST if look.members else Match.NO


def read(source: Source) -> Iterator[Read]:
    if source.apart:
        yield from files_apart(source)
        return
    with opened(source) as archive:
        names = names_in(archive)
        yield Opened("zip", "zipfile", paged=False)
        flow = Flow()  # it only counts the parts
        for name in names:
            try:
                part = source.part(archive.read(name), name)
            except LimitHit:
                raise
            except Permanent as error:
                shown = label(name)
                yield Text(flow.number, "", ((0, (shown,)),), problem=f"{shown}: {error.facts.get('why', error)}")
                flow.skip(1)
                continue
            for frame in within(part, flow.number):
                yield frame
                flow.follow(frame)


FORMAT = Format(ZIP, match=match, read=read)
