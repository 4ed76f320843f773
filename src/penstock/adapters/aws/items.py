"""Records and builds as items of the DynamoDB table. Names are short because DynamoDB charges for them in each item.
The record of a document of one shard stays under 1 KB, the unit that writes are charged by.

| item | pk | sk |
|---|---|---|
| record | tenant/document | record |
| build | tenant/document | build/generation.build |
| API key | tenant | key/id |
| ping | tenant | ping/id |
| awaited upload | tenant | upload/id |
| budget of the provider | ~provider/model | pace |

Besides its own attributes, a record has `t` and `l`, for the index `list`, unless it is a tombstone; `ds`, for the
index `due`, while it has `d`; and `ttl` once it is a tombstone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from zlib import crc32

from penstock.adapters.aws.form import (
    BUILD_ID,
    FLAG,
    MOMENT,
    NUMBERS,
    REAL,
    TEXT,
    WHOLE,
    Attribute,
    Form,
    listed,
    mapped,
    word,
)
from penstock.domain.build import Build
from penstock.domain.chunk import Cut
from penstock.domain.document import Document, Edition, Original
from penstock.domain.errors import UnknownItem
from penstock.domain.ids import BuildId, DocumentId, TenantId
from penstock.domain.lease import Lease
from penstock.domain.receipt import Failure, Receipt, Removal
from penstock.domain.status import Status
from penstock.domain.task import Lane
from penstock.ports import Item

Attributes = dict[str, Attribute]

RECORD = "record"
DUE_PARTITIONS = tuple(map(str, range(8)))
"""The partitions of the index `due`. There are several, so that the throughput of one partition does not limit how many
documents can be accepted, and few enough that the sweep can query all of them."""

_BACKSTOP = timedelta(days=7)
"""How long after a tombstone's end DynamoDB itself deletes it, in case the sweep has not."""

ORIGINAL = Form(
    Original,
    k=("key", TEXT),
    v=("version", TEXT),
    n=("name", TEXT),
    z=("size", WHOLE),
    e=("etag", TEXT),
    h=("sha256", TEXT),
    c=("content_type", TEXT),
    q=("sequencer", TEXT),
)
LEASE = Form(
    Lease,
    e=("epoch", WHOLE),
    u=("until", MOMENT),
    a=("attempts", WHOLE),
    r=("not_before", MOMENT),
    w=("deferrals", WHOLE),
    p=("paid", WHOLE),
)
FAILURE = Form(Failure, c=("code", TEXT), m=("message", TEXT), a=("attempt", WHOLE), t=("at", MOMENT))
REMOVAL = Form(Removal, c=("chunks", WHOLE), o=("objects", WHOLE), v=("versions", WHOLE))
RECEIPT = Form(
    Receipt,
    k=("kind", TEXT),
    e=("engine", TEXT),
    g=("paged", FLAG),
    p=("pages", WHOLE),
    t=("pages_with_text", WHOLE),
    o=("pages_without_text", TEXT),
    d=("pages_damaged", TEXT),
    c=("chunks", WHOLE),
    v=("vectors", WHOLE),
    f=("members", WHOLE),
    m=("embedded", WHOLE),
    r=("refused", TEXT),
    w=("warnings", listed(TEXT)),
    x=("explained", TEXT),
    s=("seconds", REAL),
)
CUT = Form(Cut, p=("page", WHOLE), f=("offset", WHOLE), n=("pieces", WHOLE), o=("ordinal", WHOLE))
DOCUMENT = Form(
    Document,
    g=("generation", WHOLE),
    r=("revision", WHOLE),
    s=("status", word(Status)),
    a=("accepted", MOMENT),
    o=("original", ORIGINAL.kind),
    f=("source", TEXT),
    n=("lane", word(Lane)),
    m=("metadata", mapped(TEXT)),
    k=("container", TEXT),
    hs=("has_members", FLAG),
    b=("build", WHOLE),
    w=("lease", LEASE.kind),
    h=("checkpointed", FLAG),
    pr=("pages_read", WHOLE),
    p=("pages", WHOLE),
    rc=("receipt", RECEIPT.kind),
    x=("failure", FAILURE.kind),
    xh=("history", listed(FAILURE.kind)),
    rm=("removal", REMOVAL.kind),
    c=("cancel", FLAG),
    y=("needs_cleanup", FLAG),
    q=("quiet_until", MOMENT),
    d=("sweep_at", MOMENT),
    dw=("resend_wait", WHOLE),
    e=("expires_at", MOMENT),
)
BUILD = Form(
    Build,
    r=("revision", WHOLE),
    n=("total", WHOLE),
    s=("written", WHOLE),
    pr=("pages_read", WHOLE),
    p=("pages", WHOLE),
    f=("done", NUMBERS),
    w=("leases", mapped(LEASE.kind, name=int)),
    c=("chunks", WHOLE),
    m=("embedded", WHOLE),
    o=("reopened", WHOLE),
    e=("expires_at", MOMENT),
    rc=("draft", RECEIPT.kind),
    u=("resume", CUT.kind),
)
_ACTIVE = "v"
"""The attribute of the active edition, which is stored without what it shares with the newest attempt."""
PUT = "i"
"""The attribute of the random token of the put that wrote the item."""
_NOT_FIELDS = frozenset({"pk", "sk", "t", "l", "ds", "ttl", PUT, _ACTIVE})
"""The attributes that are not in the forms. A build must have none of `t`, `l`, `ds` and `d`, the keys of the indexes:
it would appear in them."""


def key_of(tenant: TenantId, document: DocumentId, build_id: BuildId | None = None) -> Attributes:
    """The key of a record or, with a build id, the key of that build."""
    return {"pk": {"S": f"{tenant}/{document}"}, "sk": {"S": RECORD if build_id is None else f"build/{build_id}"}}


def key_of_item(item: Item) -> Attributes:
    if isinstance(item, Document):
        return key_of(item.tenant, item.id)
    return key_of(item.tenant, item.document, item.build_id)


def packed(item: Item) -> Attributes:
    """The item as it is stored, with its key and the attributes of the indexes."""
    if isinstance(item, Build):
        return key_of_item(item) | BUILD.pack(item) | _ttl(item.expires_at, timedelta(0))
    attributes = key_of_item(item) | DOCUMENT.pack(item)
    if item.active is not None:
        attributes[_ACTIVE] = {"M": _active(item, item.active)}
    if item.status is not Status.DELETED:
        attributes |= {"t": {"S": item.tenant}, "l": {"S": position(item.accepted, item.id)}}
    if item.sweep_at is not None:
        attributes["ds"] = {"S": DUE_PARTITIONS[crc32(item.id.encode()) % len(DUE_PARTITIONS)]}
    return attributes | _ttl(item.expires_at, _BACKSTOP)


def _ttl(expires_at: datetime | None, after: timedelta) -> Attributes:
    return {} if expires_at is None else {"ttl": {"N": str(int((expires_at + after).timestamp()))}}


def _active(document: Document, edition: Edition) -> Attributes:
    """The attributes of the active edition in which it differs from the newest attempt. Once that is published, there
    are none."""
    differing: Attributes = {}
    if edition.build_id != document.build_id:
        differing["p"] = BUILD_ID.pack(edition.build_id)
    if edition.original != document.original:
        differing["o"] = ORIGINAL.kind.pack(edition.original)
    if edition.receipt != document.receipt:
        differing["rc"] = RECEIPT.kind.pack(edition.receipt)
    if edition.source != document.source:
        differing["f"] = TEXT.pack(edition.source)
    return differing


def document_in(attributes: Mapping[str, Attribute]) -> Document:
    """
    Raises:
        UnknownItem: the item is not a record, or is from another version of Penstock.
    """
    key = attributes["pk"]["S"]
    tenant, _, document = key.partition("/")
    own = {name: value for name, value in attributes.items() if name not in _NOT_FIELDS}
    try:
        read = DOCUMENT.unpack(own, tenant=TenantId(tenant), id=DocumentId(document))
        if _ACTIVE in attributes:
            read = replace(read, active=_edition_in(attributes[_ACTIVE]["M"], read))
    except (ValueError, KeyError) as error:
        raise UnknownItem(key=key, why=error) from error
    return read


def _edition_in(attributes: Mapping[str, Attribute], document: Document) -> Edition:
    unknown = attributes.keys() - {"p", "o", "rc", "f"}
    if unknown:
        raise ValueError(f"attribute {_ACTIVE}: {', '.join(sorted(unknown))} unknown")
    receipt = RECEIPT.kind.unpack(attributes["rc"]) if "rc" in attributes else document.receipt
    if receipt is None:
        raise ValueError(f"attribute {_ACTIVE}: receipt missing")
    return Edition(
        BUILD_ID.unpack(attributes["p"]) if "p" in attributes else document.build_id,
        ORIGINAL.kind.unpack(attributes["o"]) if "o" in attributes else document.original,
        receipt,
        TEXT.unpack(attributes["f"]) if "f" in attributes else document.source,
    )


def build_in(attributes: Mapping[str, Attribute]) -> Build:
    """
    Raises:
        UnknownItem: the item is not a build, or is from another version of Penstock.
    """
    key, kind = attributes["pk"]["S"], attributes["sk"]["S"]
    tenant, _, document = key.partition("/")
    own = {name: value for name, value in attributes.items() if name not in _NOT_FIELDS}
    try:
        build_id = BUILD_ID.unpack({"S": kind.removeprefix("build/")})
        return BUILD.unpack(own, tenant=TenantId(tenant), document=DocumentId(document), build_id=build_id)
    except ValueError as error:
        raise UnknownItem(key=f"{key} {kind}", why=error) from error


def position(accepted: datetime, document: DocumentId) -> str:
    """The position of a document in its tenant's list. As text, positions sort by accept time, then by id."""
    return f"{int(MOMENT.write(accepted)):013}/{document}"


def position_in(text: str) -> tuple[datetime, DocumentId]:
    accepted, _, document = text.partition("/")
    return MOMENT.read(accepted), DocumentId(document)
