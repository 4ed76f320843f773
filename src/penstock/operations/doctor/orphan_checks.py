"""Checks where no document exists, or only its tombstone: what bucket and index still hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from types import MappingProxyType

from penstock.domain.ids import BuildId
from penstock.operations.doctor.case import Case, Check, Kind, Problem, is_settled, unheard_arrival, unneeded_files
from penstock.ports import Listed


def _object_without_document(case: Case) -> Iterator[Problem]:
    for latest in _settled_files(case):
        # A version that is newer than the one found stays: somebody may be adding it just now.
        versions = (each for each in case.facts.objects if each.key == latest.key and not each.marker)
        newest = next(versions, None)
        if newest is None or _is_unheard_arrival(case, latest):
            continue  # a marker alone is what remains when a file is removed from the drop folder
        what = "a file that was removed" if latest.marker else "a file"
        yield Problem(
            f"{latest.key} is {what}, of a document that does not exist",
            "remove it from the bucket",
            partial(case.services.objects.remove, case.tenant, newest.key, newest.version),
        )


def _arrival_unheard(case: Case) -> Iterator[Problem]:
    yield from (unheard_arrival(case, each) for each in _settled_files(case) if _is_unheard_arrival(case, each))


def _settled_files(case: Case) -> Iterator[Listed]:
    """The latest versions, or delete markers, of the files. A key that ends with a slash stands for an empty folder."""
    for each in (*case.facts.files("files"), *case.facts.files("drop")):
        if each.latest and is_settled(each, case.services.clock()) and not each.key.endswith("/"):
            yield each


def _is_unheard_arrival(case: Case, latest: Listed) -> bool:
    """Whether this is a file of the drop folder that arrived after its document was deleted, if there was one."""
    if not latest.key.startswith("drop/") or latest.marker:
        return False
    if case.record is None or case.record.expires_at is None:
        return True
    return latest.stored > case.record.expires_at - case.services.limits.keep_tombstone


def _files_without_document(case: Case) -> Iterator[Problem]:
    yield from unneeded_files(case, lambda *_: True)


def _chunks_without_document(case: Case) -> Iterator[Problem]:
    if not case.facts.builds:
        return
    chunks = sum(count.chunks for _, count in case.facts.builds)
    newest = max(build_id for build_id, _ in case.facts.builds)
    end = BuildId(newest.generation, newest.build + 1)
    yield Problem(
        f"{chunks} chunks of a document that does not exist",
        "clear them from the index",
        lambda: case.services.index.clear(case.tenant, case.facts.id, older_than=end),
    )


CHECKS_WITHOUT_DOCUMENT: Mapping[Kind, Check] = MappingProxyType(
    {
        Kind.OBJECT_WITHOUT_DOCUMENT: _object_without_document,
        Kind.ARRIVAL_UNHEARD: _arrival_unheard,
        Kind.FILES_LEFT: _files_without_document,
        Kind.CHUNKS_LEFT: _chunks_without_document,
    }
)
"""The checks in the order in which their findings are reported."""
