"""EPUB: books, chapter by chapter in the order of their spine."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from urllib.parse import unquote

from penstock.errors import LimitHit, Permanent, Unreadable
from penstock.extract import html
from penstock.extract.archive import Archive, opened
from penstock.extract.flow import Flow
from penstock.extract.format import Format, Look, Match
from penstock.extract.frames import Opened, Read, Text
from penstock.extract.kinds import EPUB
from penstock.extract.markup import Element, elements
from penstock.extract.source import Source

_TITLE = EPUB.title
_MARK = b"mimetypeapplication/epub+zip"
_CONTAINER = "META-INF/container.xml"


def match(look: Look) -> Match:
    return Match.CERTAIN if _MARK in look.head[:100] or _CONTAINER in look.members else Match.NO


def read(source: Source) -> Iterator[Read]:
    with opened(source) as archive:
        package = _package(source, archive)
        title, chapters = _spine(source, archive, package)
        if not chapters:
            raise Unreadable(kind=_TITLE, why="its spine names no chapters")
        locked = _locked(source, archive)
        yield Opened("epub", "selectolax", paged=False)
        flow = Flow()
        flow.block(title)
        for chapter in chapters:
            try:
                if chapter in locked:
                    raise Unreadable(kind=_TITLE, why="it is encrypted")
                html.write(archive.read(chapter), flow)
            except LimitHit:
                raise
            except (Permanent, KeyError) as error:
                yield from flow.rest()
                why = error.facts.get("why", error) if isinstance(error, Permanent) else "it is missing"
                yield Text(flow.number, "", problem=f"chapter {chapter}: {why}")
                flow.skip(1)
            else:
                yield from flow.rest()


def _elements(source: Source, archive: Archive, name: str) -> Iterator[Element]:
    """
    Raises:
        Unreadable: it is missing, or damaged.
    """
    if name not in archive.members:
        raise Unreadable(kind=_TITLE, why=f"its part {name} is missing")
    with archive.open(name) as stream:
        yield from elements(stream, source.limits, _TITLE)


def _package(source: Source, archive: Archive) -> str:
    for event, name, given in _elements(source, archive, _CONTAINER):
        if event == "start" and name == "rootfile" and "full-path" in given:
            return given["full-path"]
    raise Unreadable(kind=_TITLE, why="it does not say where its package is")


def _spine(source: Source, archive: Archive, package: str) -> tuple[str, list[str]]:
    """The title, and the chapters by their names in the archive."""
    folder = posixpath.dirname(package)
    items: dict[str, str] = {}
    order: list[str] = []
    title: list[str] = []
    inside = False
    for event, name, given in _elements(source, archive, package):
        match event, name:
            case "text", _ if inside:
                title.append(name)
            case _, "title":
                inside = event == "start"
            case "start", "item":
                place = unquote(given.get("href", "").partition("#")[0])
                items[given.get("id", "")] = posixpath.normpath(posixpath.join(folder, place))
            case "start", "itemref":
                order.append(given.get("idref", ""))
    return "".join(title), [items[each] for each in order if each in items]


def _locked(source: Source, archive: Archive) -> set[str]:
    """What is encrypted; fonts often are."""
    name = "META-INF/encryption.xml"
    if name not in archive.members:
        return set()
    found = _elements(source, archive, name)
    return {unquote(given["URI"]) for event, tag, given in found if tag == "CipherReference" and "URI" in given}


FORMAT = Format(EPUB, match=match, read=read)
