"""ZIP: an archive of documents: taken apart, or each member read as what it is, under its name."""

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
    """Whatever has members and is none of the documents that are archives too."""
    return Match.ALMOST if look.members else Match.NO


def read(source: Source) -> Iterator[Read]:
    if source.apart:
        yield from files_apart(source)
        return
    with opened(source) as archive:
        names = names_in(archive)
        yield Opened("zip", "zipfile", paged=False)
        flow = Flow()  # for its numbers
        for name in names:
            try:
                part = source.part(archive.read(name), name)
            except LimitHit:
                raise
            except Permanent as error:
                said = label(name)
                yield Text(flow.number, "", ((0, (said,)),), problem=f"{said}: {error.facts.get('why', error)}")
                flow.skip(1)
                continue
            for frame in within(part, flow.number):
                yield frame
                flow.follow(frame)


FORMAT = Format(ZIP, match=match, read=read)
