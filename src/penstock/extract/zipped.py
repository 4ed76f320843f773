"""ZIP: an archive of documents: taken apart, or each member read as what it is, under its name."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.errors import LimitHit, Permanent
from penstock.extract.apart import files_apart, names_in
from penstock.extract.archive import opened
from penstock.extract.characters import label
from penstock.extract.flow import Flow
from penstock.extract.format import Format, Look, Match
from penstock.extract.frames import Opened, Read, Text
from penstock.extract.kinds import ZIP
from penstock.extract.parts import within
from penstock.extract.source import Source


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
