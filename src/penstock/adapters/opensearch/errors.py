"""The errors of an OpenSearch server as Penstock's own: for each, whether to retry, repair the configuration, or give
up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from penstock.domain.errors import Misconfigured, PenstockError, Refused, Transient

_SERVICE = "OpenSearch"


class IndexGone(Transient):
    """This may well succeed later: the index {index} does not exist any more, and is made again."""


class Overloaded(Transient):
    """This may well succeed later: the search index has too much to do ({why})."""


class NoAnswer(Transient):
    """This may well succeed later: the answer of the search index makes no sense ({why})."""


class TooLargeAtOnce(Refused):
    """{service} refused the call: {why}"""


def check_complete(answer: Mapping[str, Any]) -> None:
    """Check that all shards took part in an answer, and in time: otherwise its counts and hits may be too few.

    Raises:
        Transient: the answer is incomplete.
        PenstockError: the answer is an error.
    """
    if "error" in answer:
        raise error_of(int(answer.get("status", HTTPStatus.INTERNAL_SERVER_ERROR)), answer["error"])
    if answer.get("timed_out") or dict(answer.get("_shards", {})).get("failed"):
        raise Transient(why="the search index answered in part only")


def error_of(status: int, error: object, path: str = "") -> PenstockError:
    """Penstock's error for an HTTP status and the `error` of an answer. `path` is the path of the request, which begins
    with the index."""
    kind, reason = _kind_and_reason(error)
    why = f"{status} {kind}: {reason}"[:500]
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Overloaded(why=why)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return TooLargeAtOnce(service=_SERVICE, why=why)
    if status == HTTPStatus.NOT_FOUND and kind == "index_not_found_exception":
        return IndexGone(index=path.strip("/").split("/")[0])
    if kind == "cluster_block_exception" or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Transient(why=f"the search index did not do it ({why})")
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return Misconfigured(
            why=f"OpenSearch does not let us in ({why}). Check PENSTOCK_INDEX_AUTH, PENSTOCK_INDEX_USER and "
            "PENSTOCK_INDEX_PASSWORD or, on AWS, the access policy of the domain and of this role."
        )
    return Refused(service=_SERVICE, why=why)


def _kind_and_reason(error: object) -> tuple[str, str]:
    """The type and the reason of an error. Where several shards failed, those of the first."""
    if not isinstance(error, Mapping):
        return "error", str(error)
    inner = error.get("error", error)
    if not isinstance(inner, Mapping):
        return "error", str(inner)
    causes: Sequence[Mapping[str, Any]] = inner.get("root_cause") or [inner]
    deepest = inner.get("caused_by") or causes[0]
    reason = str(causes[0].get("reason"))
    if deepest.get("reason") and str(deepest["reason"]) not in reason:
        reason = f"{reason} ({deepest['reason']})"
    return str(causes[0].get("type") or inner.get("type")), reason
