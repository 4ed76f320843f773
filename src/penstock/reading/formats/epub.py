"""EPUB: books, chapter by chapter in the order of their spine."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from urllib.parse import unquote

from penstock.domain.errors import LimitHit, PasswordRequired, Permanent, Unreadable
from penstock.reading.format import Format, Look, Match
from penstock.reading.formats import html
from penstock.reading.kinds import EPUB
from penstock.reading.protocol import Opened, Read, Text, Warned
from penstock.reading.source import Source
from penstock.reading.text.flow import Flow
from penstock.reading.text.xml_stream import Element, elements
from penstock.reading.text.zip_archive import Archive, opened

_TITLE = EPUB.title
_MARK = b"mimetypeapplication/epub+zip"
_WORDLESS = ("image/", "audio/", "video/", "font/")
_DRAWING = "image/svg+xml"
_CONTAINER = "META-INF/container.xml"


def match(look: Look) -> Match:
    return Match.CERTAIN if _MARK in look.head[:100] or _CONTAINER in look.members else Match.NO


def read(source: Source) -> Iterator[Read]:
    with opened(source) as archive:
        yield Opened("epub", "selectolax", paged=False)
        flow = Flow()
        locked = _locked(source, archive)
        try:
            title, chapters = _spine(source, archive, _package(source, archive))
        except Unreadable as error:
            title, chapters = "", _pages(archive)
            if not chapters:
                raise
            yield Warned(f"Its chapters are in the order of the archive, as {error.facts['why']}.")
        if locked.issuperset(chapters):
            raise PasswordRequired
        flow.block(title)
        for chapter in chapters:
            try:
                if chapter in locked:
                    raise Unreadable(kind=_TITLE, why="it is encrypted")
                for _ in html.write(archive.read(chapter), flow):
                    yield from flow.full()
            except LimitHit:
                raise
            except (Permanent, KeyError) as error:
                yield from flow.rest()
                why = error.facts.get("why", error) if isinstance(error, Permanent) else "it is missing"
                yield Text(flow.number, "", problem=f"chapter {chapter}: {why}")
                flow.skip(1)
            else:
                yield from flow.rest()


def _pages(archive: Archive) -> list[str]:
    """What can be a chapter, where nothing says which are."""
    return [name for name in archive.members if name.lower().endswith((".xhtml", ".html", ".htm"))]


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
    try:
        for event, name, given in _elements(source, archive, _CONTAINER):
            if event == "start" and name == "rootfile" and given.get("full-path") in archive.members:
                return given["full-path"]
    except Unreadable:
        pass  # then there may be one all the same
    for name in archive.members:
        if name.lower().endswith(".opf"):
            return name
    raise Unreadable(kind=_TITLE, why="it does not say where its package is")


def _spine(source: Source, archive: Archive, package: str) -> tuple[str, list[str]]:
    """The title, and the chapters by their names in the archive.

    Raises:
        Unreadable: it names none.
    """
    folder = posixpath.dirname(package)
    items: dict[str, tuple[str, str, str]] = {}
    order: list[str] = []
    titles: list[str] = []
    inside = False
    for event, name, given in _elements(source, archive, package):
        match event, name:
            case "text", _ if inside:
                titles[-1] += name
            case "start", "title":
                titles.append("")
                inside = True
            case "end", "title":
                inside = False
            case "start", "item":
                place = unquote(given.get("href", "").partition("#")[0])
                place = posixpath.normpath(posixpath.join("/", folder, place)).lstrip("/")
                items[given.get("id", "")] = place, given.get("media-type", ""), given.get("fallback", "")
            case "start", "itemref":
                order.append(given.get("idref", ""))
    chapters = [place for place in (_readable(items, each) for each in order) if place]
    if not chapters:
        raise Unreadable(kind=_TITLE, why="its spine names no chapters")
    return "\n\n".join(dict.fromkeys(titles)), list(dict.fromkeys(chapters))


def _readable(items: dict[str, tuple[str, str, str]], name: str) -> str | None:
    """The file of an item; of one that is no text, such as a picture, that of the item that stands in for it."""
    for _ in items:
        place, kind, fallback = items.get(name, ("", "", ""))
        if not kind.startswith(_WORDLESS) or kind == _DRAWING:
            return place or None
        name = fallback
    return None


def _locked(source: Source, archive: Archive) -> set[str]:
    """What is encrypted; fonts often are."""
    name = "META-INF/encryption.xml"
    if name not in archive.members:
        return set()
    found = _elements(source, archive, name)
    return {unquote(given["URI"]) for event, tag, given in found if tag == "CipherReference" and "URI" in given}


FORMAT = Format(EPUB, match=match, read=read)
