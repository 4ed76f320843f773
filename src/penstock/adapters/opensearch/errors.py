"""What the answers of an OpenSearch server mean: each becomes one of Penstock's errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penstock.domain.errors import Misconfigured, PenstockError, Refused, Transient

_SERVICE = "OpenSearch"


_TOO_MANY = 429


_TOO_LARGE = 413


_NOT_FOUND = 404


_FORBIDDEN = (401, 403)


SERVER_ERROR = 500


class IndexGone(Transient):
    """This may well succeed later: the index {index} is not there any more, and is made again."""


class Overloaded(Transient):
    """This may well succeed later: the search index has too much to do ({why})."""


class NoAnswer(Transient):
    """This may well succeed later: the search index gave an answer that is none ({why})."""


class TooLargeAtOnce(Refused):
    """{service} refused the call: {why}"""


def error_of(status: int, error: object, path: str = "") -> PenstockError:
    """What this answer means to us."""
    kind, reason = _said(error)
    why = f"{status} {kind}: {reason}"[:500]
    if status == _TOO_MANY:
        return Overloaded(why=why)
    if status == _TOO_LARGE:
        return TooLargeAtOnce(service=_SERVICE, why=why)
    if status == _NOT_FOUND and kind == "index_not_found_exception":
        return IndexGone(index=path.strip("/").split("/")[0])
    if kind == "cluster_block_exception" or status >= SERVER_ERROR:
        return Transient(why=f"the search index did not do it ({why})")
    if status in _FORBIDDEN:
        return Misconfigured(
            why=f"OpenSearch does not let us in ({why}). Check PENSTOCK_INDEX_AUTH, PENSTOCK_INDEX_USER and "
            "PENSTOCK_INDEX_PASSWORD or, on AWS, the access policy of the domain and of this role."
        )
    return Refused(service=_SERVICE, why=why)


def _said(error: object) -> tuple[str, str]:
    """The kind and the reason of an error; of what failed on shards, the first."""
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
