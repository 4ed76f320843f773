"""Inside: what became of the files of archives, each a document of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from penstock.cli.client import Api, Json
from penstock.cli.outcome import Member, Outcome
from penstock.domain.status import FINAL

_PAUSE = 0.5
_STILL = 6
"""So often in a row nothing has changed: what is missing then, somebody has deleted."""


def with_members(api: Api, outcomes: Sequence[Outcome], deadline: float) -> list[Outcome]:
    """The outcomes, those of archives with their files, once each of them has ended, or time.monotonic() says so."""
    return [replace(each, members=_members(api, each, deadline)) if _count(each) else each for each in outcomes]


def _members(api: Api, archive: Outcome, deadline: float) -> tuple[Member, ...]:
    before: list[Json] = []
    still = 0
    while True:
        found = list(api.documents(limit=_count(archive), container=archive.document_id))
        ended = all(each["status"] in FINAL for each in found)
        still = still + 1 if found == before else 0
        if (ended and (len(found) == _count(archive) or still == _STILL)) or time.monotonic() >= deadline:
            return tuple(map(_member, sorted(found, key=lambda each: each["name"])))
        before = found
        time.sleep(_PAUSE)


def _member(found: Json) -> Member:
    status = found["status"] if found["status"] in FINAL else "waiting"
    error = found["error"] or {}
    return Member(found["name"], status, found["document_id"], error.get("code"), error.get("message"))


def _count(outcome: Outcome) -> int:
    return int((outcome.receipt or {}).get("members", 0))
