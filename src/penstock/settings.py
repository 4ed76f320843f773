"""What can be configured: read from the environment when asked for, never at import (I9)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from penstock.errors import BadSetting

Count = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=1, le=65_535)]


@dataclass(frozen=True, init=False)
class Settings:
    """Each field is the environment variable PENSTOCK_<FIELD>. AWS's own variables (AWS_ENDPOINT_URL, AWS_REGION,
    credentials) and OpenAI's (OPENAI_API_KEY, OPENAI_BASE_URL) keep their names and are read by their libraries."""

    bucket: str = ""
    """The bucket of originals, of the drop folder and of work files."""
    table: str = ""
    """The DynamoDB table."""
    queues: Mapping[str, str] = field(default_factory=dict)
    """JSON: stage queue name to URL."""
    dead_letters: Mapping[str, str] = field(default_factory=dict)
    """JSON: stage to the URL of its dead-letter queue."""
    arrivals: str = ""
    """URL of the queue that S3 tells of arrivals and removals."""

    index: str = "sqlite"
    """sqlite: the embedded index."""
    index_path: Path = Path(".penstock/index")
    """Folder of the embedded index."""
    embedder: str = "auto"
    """wordllama, openai, or auto: openai where OPENAI_API_KEY or PENSTOCK_PROVIDER_KEY is set, else wordllama."""
    provider_key: str = ""
    """Name of the SecureString in Systems Manager's parameter store that holds the API key of the embedding provider;
    where it is empty, OPENAI_API_KEY is the key."""
    openai_model: str = "text-embedding-3-small"
    """Embedding model of the OpenAI-compatible API."""
    openai_dimensions: Annotated[int, Meta(ge=1, le=8192)] = 1536
    """Dimensions asked of that model."""
    openai_batch: Annotated[int, Meta(ge=1, le=2048)] = 128
    """Texts per embedding request."""
    provider_requests_per_minute: Count | None = None
    """What all processes together may ask of the provider, shared through the table; empty: as many as it takes. Leave
    room for searches, which are not counted."""
    provider_tokens_per_minute: Annotated[int, Meta(ge=10_000)] | None = None
    """The same of tokens; the least is one text of the longest."""
    provider_calls: Count = 8
    """Calls of one process to the provider at once; a worker's process, like a Lambda function, makes one at a time."""

    max_file_bytes: Count = 500_000_000
    """The largest file that is accepted."""
    max_direct_bytes: Count | None = None
    """The largest request that takes files itself; larger ones are told to use POST /v1/uploads. In Lambda 4500000
    fit."""
    upload_seconds: Annotated[int, Meta(ge=1, le=43_200)] = 3600
    """How long S3 takes the file of an upload that was announced."""
    accepted_types: frozenset[str] = frozenset({"application/pdf", "text/markdown", "text/plain"})
    """JSON list of media types that the HTTPS door takes; the content decides later."""
    link_seconds: Annotated[int, Meta(ge=1, le=604_800)] = 300
    """How long a link to an original works."""

    chunk_chars: Annotated[int, Meta(ge=200)] = 4000
    """The longest chunk, in characters."""
    overlap_chars: Annotated[int, Meta(ge=0)] = 400
    """How much of a chunk repeats the end of the one before."""
    shard_chunks: Count = 128
    """Chunks per shard: the unit of embedding work."""

    extract_seconds: Annotated[float, Meta(gt=0)] = 600
    """Wall time for reading one file."""
    extract_memory_bytes: Annotated[int, Meta(ge=268_435_456)] = 2_000_000_000
    """Address space of the child that reads."""
    extract_pages: Count = 100_000
    """The most pages read of one file."""
    extract_chars: Count = 500_000_000
    """The most characters taken from one file."""

    attempts: Count = 10
    """Tries per stage and shard before a document fails."""
    lease_seconds: Annotated[int, Meta(ge=5)] = 120
    """Length of a lease; a live worker renews it at a third."""
    visibility_seconds: Annotated[int, Meta(ge=5)] = 120
    """Visibility a Celery worker asks for when it receives."""
    resend_seconds: Count = 600
    """When the sweep first looks for a message that was lost."""

    log_json: bool = False
    """Whether a worker logs JSON, with metrics, as CloudWatch reads it. In Lambda all do."""
    worker_concurrency: Count = 2
    """Celery's name: processes of one worker."""
    worker_prefetch_multiplier: Count = 2
    """Celery's name: messages held per process."""
    wait_seconds: Annotated[int, Meta(ge=0, le=20)] = 20
    """How long a receive request waits for a message."""
    stop_seconds: Annotated[float, Meta(ge=0)] = 25
    """How long running tasks may go on after SIGTERM."""

    api_host: str = "127.0.0.1"
    """Where `penstock serve` listens."""
    api_port: Port = 8080
    """The API's port."""
    emulator_port: Port = 4566
    """The AWS emulator's port in the local stack."""

    def __init__(self, **given: object) -> None:
        """What is not given is read from the environment.

        Raises:
            BadSetting: something cannot be used; all that cannot is named.
        """
        kinds = get_type_hints(Settings, include_extras=True)
        if unknown := given.keys() - kinds.keys():
            raise TypeError(f"no settings: {', '.join(sorted(unknown))}")
        wrong = []
        for each in fields(Settings):
            variable = f"PENSTOCK_{each.name.upper()}"
            value = given[each.name] if each.name in given else os.environ.get(variable, MISSING)
            if value == "" and each.default is None:
                value = MISSING
            try:
                usable = _default(each) if value is MISSING else _converted(value, kinds[each.name])
            except ValueError as error:
                wrong.append(f"{variable} is {value!r}: {error}")
            else:
                object.__setattr__(self, each.name, usable)
        if wrong:
            raise BadSetting(why="; ".join(wrong))

    @property
    def chosen_embedder(self) -> str:
        """What `auto` comes to."""
        if self.embedder != "auto":
            return self.embedder
        return "openai" if self.provider_key or os.environ.get("OPENAI_API_KEY") else "wordllama"


def _default(of: Field[Any]) -> Any:
    return of.default if of.default_factory is MISSING else of.default_factory()


def _converted(value: object, kind: Any) -> Any:
    """
    Raises:
        ValueError: what was expected.
    """
    if isinstance(value, str) and get_origin(kind) in {Mapping, frozenset}:
        return msgspec.json.decode(value, type=kind)
    return msgspec.convert(value, kind, strict=False, dec_hook=lambda made, text: made(text))
