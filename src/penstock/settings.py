"""What can be configured: read from the environment when asked for, never at import (I9)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from penstock.domain.errors import BadSetting
from penstock.domain.task import Stage
from penstock.reading.kinds import media_types
from penstock.reading.limits import ReadLimits

LONGEST_TASK = 11 * 60 * 60
"""Seconds: SQS ends a message's invisibility at twelve hours."""
_SOFT_TIME_LIMIT = 25 * 60
_TIME_LIMIT = 30 * 60
_RETRIES = 3

Count = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=1, le=65_535)]
TimeLimit = Annotated[int, Meta(ge=1, le=LONGEST_TASK)]
TimeLimits = TimeLimit | Mapping[Stage, TimeLimit]
"""Seconds: one number for all stages, or a JSON object of stages, where the others keep the default."""


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
    """sqlite: the embedded index, which needs all processes on one disk; opensearch: a server."""
    index_path: Path = Path(".penstock/index")
    """Folder of the embedded index."""
    index_url: str = ""
    """Address of an OpenSearch server."""
    index_name: Annotated[str, Meta(pattern="^[a-z][a-z0-9-]*$")] = "penstock"
    """The alias of our index on the server."""
    index_auth: Literal["auto", "aws", "basic", "none"] = "auto"
    """aws: requests are signed (SigV4); basic: by name and password; auto: aws where the address is one of AWS, basic
    where there is a name, else none."""
    index_user: str = ""
    """Name for basic auth."""
    index_password: str = field(default="", repr=False)
    """Password for basic auth."""
    index_shards: Annotated[int, Meta(ge=1, le=1024)] = 1
    """Shards of an index that is made; a tenant's chunks are in one of them."""
    index_engine: Literal["lucene", "faiss"] = "lucene"
    """Of the vectors of an index that is made. faiss takes less memory where there are millions, and needs a server
    with its native libraries, as a managed domain is."""
    embedder: str = "auto"
    """wordllama; openai; onnx:DIR, a model that was exported to ONNX; or auto: openai where OPENAI_API_KEY or
    PENSTOCK_PROVIDER_KEY is set, else wordllama."""
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
    accepted_types: frozenset[str] = field(default_factory=media_types)
    """JSON list of media types that the HTTPS door takes: all that are read, unless it is set. The content decides
    later."""
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
    extract_cpu_seconds: Count = 600
    """Processor time for reading one file."""
    extract_memory_bytes: Annotated[int, Meta(ge=268_435_456)] = 2_000_000_000
    """Address space of the child that reads."""
    extract_open_files: Annotated[int, Meta(ge=16)] = 64
    """Files that the child may have open."""
    extract_pages: Count = 100_000
    """The most pages read of one file."""
    extract_chars: Count = 500_000_000
    """The most characters taken from one file."""
    extract_archive_entries: Count = 10_000
    """The most entries of an archive, which an Office document is as well."""
    extract_archive_bytes: Count = 2_000_000_000
    """Bytes that the archives of one file may unfold to in all."""
    extract_archive_ratio: Count = 200
    """Times its size that an archive may unfold to; any may to 100 MB."""
    extract_nesting: Annotated[int, Meta(ge=0)] = 5
    """How deep archives and messages may lie in each other."""
    extract_entity_chars: Annotated[int, Meta(ge=0)] = 1_000_000
    """Characters that the entities of an XML file may unfold to."""
    extract_warm_files: Count = 100
    """Files of one tenant after which the child that reads them is replaced; with 1 each file has one of its own."""

    recognizer: str = "none"
    """What finds text in pages of PDFs that have none: none, tesseract (installed on the worker), or textract
    (Amazon's, paid by the page)."""
    recognizer_languages: str = "eng"
    """Tesseract's names of languages, such as eng+deu."""

    attempts: Count = 10
    """Tries per stage and shard before a document fails."""
    lease_seconds: Annotated[int, Meta(ge=5)] = 120
    """Length of a lease; a live worker renews it at a third."""
    visibility_seconds: Annotated[int, Meta(ge=5)] = 120
    """Visibility a Celery worker asks for when it receives."""
    resend_seconds: Count = 600
    """When the sweep first looks for a message that was lost."""
    sweep_seconds: Annotated[float, Meta(gt=0)] = 60
    """How often `penstock beat` asks for a sweep. In AWS a schedule does, each minute."""

    log_json: bool = False
    """Whether a worker logs JSON, with metrics, as CloudWatch reads it. In Lambda all do."""
    worker_concurrency: Count = 2
    """Celery's name: processes of one worker."""
    worker_prefetch_multiplier: Count = 2
    """Celery's name: messages held per process."""
    worker_max_tasks_per_child: Count | None = None
    """Celery's name: tasks after which a process is replaced."""
    worker_max_memory_per_child: Count | None = None
    """Celery's name: KiB resident after which a process is replaced when idle."""
    task_soft_time_limit: TimeLimits = _SOFT_TIME_LIMIT
    """Celery's name: seconds after which a task saves where it is and hands back. A number, or JSON of stages."""
    task_time_limit: TimeLimits = _TIME_LIMIT
    """Celery's name: seconds after which a task's process is killed. A number, or JSON of stages."""
    task_publish_retry: bool = True
    """Celery's name: whether a message that SQS did not take is sent again at once."""
    task_publish_retry_policy: Mapping[Literal["max_retries"], Annotated[int, Meta(ge=0, le=10)]] = field(
        default_factory=lambda: {"max_retries": _RETRIES}
    )
    """Celery's name, JSON, of which there is max_retries; the waits in between are exponential with jitter. What is not
    sent then, the sweep sends."""
    wait_seconds: Annotated[int, Meta(ge=0, le=20)] = 20
    """How long a receive request waits for a message."""
    stop_seconds: Annotated[float, Meta(ge=0)] = 25
    """How long a worker takes to stop, at most: running tasks hand back at their next checkpoint, and are interrupted
    five seconds before the end."""

    api_host: str = "127.0.0.1"
    """Where `penstock serve` listens."""
    api_port: Port = 8080
    """The API's port."""
    public_url: Annotated[str, Meta(pattern=r"^(https?://[A-Za-z0-9.:\[\]-]+(/[^?#]*)?)?$")] = ""
    """Where clients reach the API, such as https://example.com/penstock: the links in its answers begin with it. Empty:
    where their requests say that they were sent."""
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
        if not wrong:
            wrong = [
                f"the soft time limit of {stage} is not below its hard one"
                for stage in Stage
                if self.soft_time_limit(stage) >= self.time_limit(stage)
            ]
        if wrong:
            raise BadSetting(why="; ".join(wrong))

    @property
    def publish_retries(self) -> int:
        return self.task_publish_retry_policy.get("max_retries", _RETRIES) if self.task_publish_retry else 0

    def soft_time_limit(self, stage: Stage) -> int:
        return _of_stage(self.task_soft_time_limit, stage, _SOFT_TIME_LIMIT)

    def time_limit(self, stage: Stage) -> int:
        return _of_stage(self.task_time_limit, stage, _TIME_LIMIT)

    def read_limits(self) -> ReadLimits:
        """What reading one file may cost."""
        return ReadLimits(**{each.name: getattr(self, f"extract_{each.name}") for each in fields(ReadLimits)})

    @property
    def chosen_embedder(self) -> str:
        """What `auto` comes to."""
        if self.embedder != "auto":
            return self.embedder
        return "openai" if self.provider_key or os.environ.get("OPENAI_API_KEY") else "wordllama"


def _of_stage(limits: TimeLimits, stage: Stage, default: int) -> int:
    return limits.get(stage, default) if isinstance(limits, Mapping) else limits


def _default(of: Field[Any]) -> Any:
    return of.default if of.default_factory is MISSING else of.default_factory()


def _converted(value: object, kind: Any) -> Any:
    """
    Raises:
        ValueError: what was expected.
    """
    if isinstance(value, str) and any(get_origin(each) in {Mapping, frozenset} for each in (kind, *get_args(kind))):
        return msgspec.json.decode(value, type=kind)
    return msgspec.convert(value, kind, strict=False, dec_hook=lambda made, text: made(text))
