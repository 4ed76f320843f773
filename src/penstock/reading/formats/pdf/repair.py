"""Repair: ways to open a PDF that is cut short or damaged."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from penstock.reading.source import Source

_OBJECT = re.compile(rb"\b(\d{1,9})\s+(\d{1,5})\s+obj\b")
_TYPE = re.compile(rb"/Type\s*/(Catalog|Pages|Page)(?![A-Za-z])")
_LONGEST_DICTIONARY = 20_000
"""The maximum size of a page's own object, in bytes. Its content is in another object."""


class _Objects(NamedTuple):
    """The objects from which the pages of a file can be found, by their references."""

    catalogs: list[bytes]
    trees: list[bytes]
    """The roots of page trees."""
    pages: list[bytes]
    largest: int
    """The largest number of any object."""
    end: int
    """The place where the last object ends. It is not positive if that end is lost."""


def repaired(source: Source) -> Iterator[bytes]:
    """The file with a new trailer, which leads to its catalog. Then the file with a new catalog, which leads to its
    page tree, or else to a new tree of the pages that are found.

    Writers put these behind the pages, so that a file which is cut short has lost them. What lies in compressed object
    streams is not found.
    """
    with source.open() as file:
        content = file.read()
    if b"/Encrypt" in content:
        return
    found = _objects_in(content)
    if found.end > 0:
        content = content[: found.end]  # without a trailer that is cut short
    content += b"\nendstream\nendobj\n"
    new_catalog, new_tree = found.largest + 1, found.largest + 2
    if found.catalogs:
        yield content + _trailer(found, found.catalogs[-1])
    if found.trees:
        yield content + _catalog(new_catalog, found.trees[-1]) + _trailer(found, b"%d 0 R" % new_catalog)
    elif found.pages:
        added = _catalog(new_catalog, b"%d 0 R" % new_tree) + _tree(new_tree, found.pages)
        yield content + added + _trailer(found, b"%d 0 R" % new_catalog)


def _objects_in(content: bytes) -> _Objects:
    kinds: dict[bytes, dict[bytes, None]] = {b"Catalog": {}, b"Pages": {}, b"Page": {}}
    largest = end = 0
    for found in _OBJECT.finditer(content):
        largest = max(largest, int(found[1]))
        end = content.find(b"endobj", found.end(), found.end() + _LONGEST_DICTIONARY)
        head, stream, _ = content[found.end() : max(end, found.end())].partition(b"stream")
        kind = None if stream else _TYPE.search(head)
        if kind is not None and not (kind[1] == b"Pages" and b"/Parent" in head):
            kinds[kind[1]][b"%d %d R" % (int(found[1]), int(found[2]))] = None
    catalogs, trees, pages = (list(each) for each in kinds.values())
    return _Objects(catalogs, trees, pages, largest, end)


def _catalog(number: int, tree: bytes) -> bytes:
    return b"%d 0 obj\n<< /Type /Catalog /Pages %s >>\nendobj\n" % (number, tree)


def _tree(number: int, pages: list[bytes]) -> bytes:
    kids = b" ".join(pages)
    return b"%d 0 obj\n<< /Type /Pages /Count %d /Kids [%s] >>\nendobj\n" % (number, len(pages), kids)


def _trailer(found: _Objects, catalog: bytes) -> bytes:
    return b"trailer\n<< /Size %d /Root %s >>\n%%%%EOF\n" % (found.largest + 3, catalog)
