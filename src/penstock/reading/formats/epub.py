"""EPUB: books, chapter by chapter, in the order that the book's package gives them (its spine)."""

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
"""The beginnings of media types whose files hold no text. A drawing (SVG) is the exception."""
_DRAWING = "image/svg+xml"
_CONTAINER = "META-INF/container.xml"


def match(look: Look) -> Match:
    return Match.CERTAIN if _MARK in look.head[:100] or _CONTAINER in look.members else Match.NO


def read(source: Source) -> Iterator[Read]:
    with opened(source) as archive:
        yield Opened("epub", "selectolax", paged=False)
        flow = Flow()
        locked = _encrypted(source, archive)
        try:
            title, chapters = _spine(source, archive, _package(source, archive))
        except Unreadable as error:
            title, chapters = "", _possible_chapters(archive)
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


def _possible_chapters(archive: Archive) -> list[str]:
    """The files that may be chapters, for a book that does not say which ones are."""
    return [name for name in archive.members if name.lower().endswith((".xhtml", ".html", ".htm"))]


def _elements(source: Source, archive: Archive, name: str) -> Iterator[Element]:
    """
    Raises:
        Unreadable: the part is missing or damaged.
    """
    if name not in archive.members:
        raise Unreadable(kind=_TITLE, why=f"its part {name} is missing")
    with archive.open(name) as stream:
        yield from elements(stream, source.limits, _TITLE)


def _package(source: Source, archive: Archive) -> str:
    """The name of the file that lists the chapters.

    Raises:
        Unreadable: there is none.
    """
    try:
        for event, name, attributes in _elements(source, archive, _CONTAINER):
            if event == "start" and name == "rootfile" and attributes.get("full-path") in archive.members:
                return attributes["full-path"]
    except Unreadable:
        pass  # there may be a package all the same
    for name in archive.members:
        if name.lower().endswith(".opf"):
            return name
    raise Unreadable(kind=_TITLE, why="it does not say where its package is")


def _spine(source: Source, archive: Archive, package: str) -> tuple[str, list[str]]:
    """The title, and the names of the chapters in the archive.

    Raises:
        Unreadable: the package names no chapters.
    """
    folder = posixpath.dirname(package)
    items: dict[str, tuple[str, str, str]] = {}
    order: list[str] = []
    titles: list[str] = []
    in_title = False
    for event, name, attributes in _elements(source, archive, package):
        match event, name:
            case "text", _ if in_title:
                titles[-1] += name
            case "start", "title":
                titles.append("")
                in_title = True
            case "end", "title":
                in_title = False
            case "start", "item":
                place = unquote(attributes.get("href", "").partition("#")[0])
                place = posixpath.normpath(posixpath.join("/", folder, place)).lstrip("/")
                items[attributes.get("id", "")] = (
                    place,
                    attributes.get("media-type", ""),
                    attributes.get("fallback", ""),
                )
            case "start", "itemref":
                order.append(attributes.get("idref", ""))
    chapters = [place for place in (_file_of_item(items, each) for each in order) if place]
    if not chapters:
        raise Unreadable(kind=_TITLE, why="its spine names no chapters")
    return "\n\n".join(dict.fromkeys(titles)), list(dict.fromkeys(chapters))


def _file_of_item(items: dict[str, tuple[str, str, str]], name: str) -> str | None:
    """The name of an item's file. An item that is no text, such as a picture, may name another item as its
    replacement."""
    for _ in items:
        place, kind, fallback = items.get(name, ("", "", ""))
        if not kind.startswith(_WORDLESS) or kind == _DRAWING:
            return place or None
        name = fallback
    return None


def _encrypted(source: Source, archive: Archive) -> set[str]:
    """The names of the files that are encrypted. Often these are only fonts."""
    name = "META-INF/encryption.xml"
    if name not in archive.members:
        return set()
    found = _elements(source, archive, name)
    return {
        unquote(attributes["URI"])
        for event, tag, attributes in found
        if tag == "CipherReference" and "URI" in attributes
    }


FORMAT = Format(EPUB, match=match, read=read)
