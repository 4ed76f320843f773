"""The files of archives: waiting for the documents that they became, and their outcomes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from penstock.cli.client import Api, Json
from penstock.cli.outcome import Member, Outcome
from penstock.domain.status import FINAL

_PAUSE_SECONDS = 0.5
_UNCHANGED_ROUNDS = 6
"""After so many rounds without a change, documents that are still missing must have been deleted."""


def with_members(api: Api, outcomes: Sequence[Outcome], deadline: float) -> list[Outcome]:
    """The outcomes, with the files of each archive. Waits until the files have a final state, at the latest until
    `deadline` on the clock of time.monotonic()."""
    return [replace(each, members=_members(api, each, deadline)) if _count(each) else each for each in outcomes]


def _members(api: Api, archive: Outcome, deadline: float) -> tuple[Member, ...]:
    before: list[Json] = []
    unchanged = 0
    while True:
        found = list(api.documents(limit=_count(archive), container=archive.document_id))
        all_final = all(each["status"] in FINAL for each in found)
        unchanged = unchanged + 1 if found == before else 0
        complete = all_final and (len(found) == _count(archive) or unchanged == _UNCHANGED_ROUNDS)
        if complete or time.monotonic() >= deadline:
            return tuple(map(_member, sorted(found, key=lambda each: each["name"])))
        before = found
        time.sleep(_PAUSE_SECONDS)


def _member(document: Json) -> Member:
    status = document["status"] if document["status"] in FINAL else "waiting"
    error = document["error"] or {}
    return Member(document["name"], status, document["document_id"], error.get("code"), error.get("message"))


def _count(outcome: Outcome) -> int:
    return int((outcome.receipt or {}).get("members", 0))
