"""What can be configured. The environment is read when `Settings.from_environment` is called, never at import (I9)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from penstock.domain.errors import BadSetting
from penstock.domain.task import Stage
from penstock.reading.kinds import media_types
from penstock.reading.limits import Count, ReadLimits

LONGEST_TASK = 11 * 60 * 60
"""The maximum time limit of a task, in seconds. SQS ends the invisibility of a message after twelve hours."""
_SOFT_TIME_LIMIT = 25 * 60
_TIME_LIMIT = 30 * 60
_RETRIES = 3

Port = Annotated[int, Meta(ge=1, le=65_535)]
TimeLimit = Annotated[int, Meta(ge=1, le=LONGEST_TASK)]
TimeLimits = TimeLimit | Mapping[Stage, TimeLimit]
"""Seconds: one number for all stages, or a JSON object with a number for some stages; the others keep the default."""


@dataclass(frozen=True)
class Settings:
    """Each field is the environment variable PENSTOCK_<FIELD>. The variables of AWS (AWS_ENDPOINT_URL, AWS_REGION,
    credentials) and of OpenAI (OPENAI_API_KEY, OPENAI_BASE_URL) keep their names, and their libraries read them."""

    bucket: str = ""
    """The name of the bucket that holds the originals, the drop folder and the work files."""
    table: str = ""
    """The name of the DynamoDB table."""
    queues: Mapping[str, str] = field(default_factory=dict)
    """A JSON object from the name of each queue of a stage to its URL."""
    dead_letters: Mapping[str, str] = field(default_factory=dict)
    """A JSON object from each stage to the URL of its dead-letter queue."""
    arrivals: str = ""
    """The URL of the queue to which S3 sends the events of arrived and removed files."""

    index: str = "sqlite"
    """The kind of index: sqlite is embedded and needs all processes on one disk, opensearch is a server."""
    index_path: Path = Path(".penstock/index")
    """The folder of the embedded index."""
    index_url: str = ""
    """The address of the OpenSearch server."""
    index_name: Annotated[str, Meta(pattern="^[a-z][a-z0-9-]*$")] = "penstock"
    """The alias of Penstock's index on the server."""
    index_auth: Literal["auto", "aws", "basic", "none"] = "auto"
    """How requests to the server authenticate: aws signs them (SigV4), basic sends a name and a password. auto is aws
    if the address is one of AWS, else basic if a name is set, else none."""
    index_user: str = ""
    """The name for basic authentication."""
    index_password: str = field(default="", repr=False)
    """The password for basic authentication."""
    index_shards: Annotated[int, Meta(ge=1, le=1024)] = 1
    """The number of shards of an index when it is created. All chunks of a tenant are in one of them."""
    index_engine: Literal["lucene", "faiss"] = "lucene"
    """The vector engine of an index when it is created. faiss takes less memory with millions of vectors, and needs a
    server that has its native libraries, as a managed domain does."""
    embedder: str = "auto"
    """The embedder: wordllama; openai; onnx:DIR, a folder with a model that was exported to ONNX; or auto, which is
    openai if OPENAI_API_KEY or PENSTOCK_PROVIDER_KEY is set, else wordllama."""
    provider_key: str = ""
    """The name of the SecureString in Systems Manager's parameter store that holds the API key of the embedding
    provider. If it is empty, OPENAI_API_KEY is the key."""
    openai_model: str = "text-embedding-3-small"
    """The embedding model of the OpenAI-compatible API."""
    openai_dimensions: Annotated[int, Meta(ge=1, le=8192)] = 1536
    """The number of dimensions that is requested of that model."""
    openai_batch: Annotated[int, Meta(ge=1, le=2048)] = 128
    """The number of texts in an embedding request."""
    provider_requests_per_minute: Count | None = None
    """The number of requests per minute that all processes together may send to the embedding provider; they share the
    count through the table. If it is empty, there is no limit. Leave some capacity for searches, which are not
    counted."""
    provider_tokens_per_minute: Annotated[int, Meta(ge=10_000)] | None = None
    """The number of tokens per minute that all processes together may send to the embedding provider. The minimum is
    one text of the greatest length."""
    provider_calls: Count = 8
    """The number of simultaneous calls of one process to the embedding provider. A worker's process, like a Lambda
    function, makes one at a time."""

    max_file_bytes: Count = 500_000_000
    """The maximum size of a file that is accepted, in bytes."""
    max_direct_bytes: Count | None = None
    """The maximum size of a request that contains files, in bytes. The answer to a larger one refers to POST
    /v1/uploads. In Lambda, 4500000 is possible."""
    upload_seconds: Annotated[int, Meta(ge=1, le=43_200)] = 3600
    """The time within which S3 accepts the file of an announced upload, in seconds."""
    accepted_types: frozenset[str] = field(default_factory=media_types)
    """A JSON list of the media types that the HTTPS API accepts; by default all that Penstock reads. What a file really
    is, its content decides later."""
    link_seconds: Annotated[int, Meta(ge=1, le=604_800)] = 300
    """The time for which a link to an original is valid, in seconds."""

    chunk_chars: Annotated[int, Meta(ge=200)] = 4000
    """The maximum length of a chunk, in characters."""
    overlap_chars: Annotated[int, Meta(ge=0)] = 400
    """How much of the end of a chunk the next one repeats, in characters."""
    shard_chunks: Count = 128
    """The number of chunks in a shard, which is the unit of embedding work."""

    extract: ReadLimits = field(default_factory=ReadLimits)
    """The limits of reading one file. Each of its fields is a setting too: PENSTOCK_EXTRACT_SECONDS is `seconds`."""

    recognizer: str = "none"
    """What recognizes text in pages of PDFs that have none: none, tesseract (installed on the worker), or textract
    (of Amazon, paid by the page)."""
    recognizer_languages: str = "eng"
    """The languages in Tesseract's notation, such as eng+deu."""

    attempts: Count = 10
    """The number of attempts for each stage and shard before the document fails."""
    lease_seconds: Annotated[int, Meta(ge=5)] = 120
    """The length of a lease, in seconds. A live worker renews it after a third of that."""
    visibility_seconds: Annotated[int, Meta(ge=5)] = 120
    """The visibility timeout that a Celery worker requests when it receives a message, in seconds."""
    resend_seconds: Count = 600
    """The time after which the sweep looks for a lost message for the first time, in seconds."""
    sweep_seconds: Annotated[float, Meta(gt=0)] = 60
    """The interval at which `penstock beat` requests a sweep, in seconds. In AWS, a schedule does so each minute."""

    log_json: bool = False
    """Whether a worker logs JSON with metrics, as CloudWatch reads it. Lambda functions always do."""
    worker_concurrency: Count = 2
    """The number of processes of one worker (Celery's name)."""
    worker_prefetch_multiplier: Count = 2
    """The number of messages that a worker holds for each process (Celery's name)."""
    worker_max_tasks_per_child: Count | None = None
    """The number of tasks after which a process is replaced (Celery's name)."""
    worker_max_memory_per_child: Count | None = None
    """The resident memory at which an idle process is replaced, in KiB (Celery's name)."""
    task_soft_time_limit: TimeLimits = _SOFT_TIME_LIMIT
    """The time after which a task saves a checkpoint and returns its message to the queue, in seconds (Celery's name).
    It is one number, or a JSON object with a number for some stages."""
    task_time_limit: TimeLimits = _TIME_LIMIT
    """The time after which the process of a task is killed, in seconds (Celery's name). It is one number, or a JSON
    object with a number for some stages."""
    task_publish_retry: bool = True
    """Whether a message that SQS did not accept is sent again at once (Celery's name)."""
    task_publish_retry_policy: Mapping[Literal["max_retries"], Annotated[int, Meta(ge=0, le=10)]] = field(
        default_factory=lambda: {"max_retries": _RETRIES}
    )
    """A JSON object with max_retries, the only key that Penstock knows of this policy (Celery's name). The waits in
    between are exponential with jitter. The sweep sends whatever could not be sent then."""
    wait_seconds: Annotated[int, Meta(ge=0, le=20)] = 20
    """The time that a receive request waits for a message, in seconds."""
    stop_seconds: Annotated[float, Meta(ge=0)] = 25
    """The maximum time that a worker takes to shut down, in seconds. Running tasks return their messages at their next
    checkpoint, and are interrupted five seconds before the end."""

    api_host: str = "127.0.0.1"
    """The address on which `penstock serve` listens."""
    api_port: Port = 8080
    """The port on which `penstock serve` listens."""
    public_url: Annotated[str, Meta(pattern=r"^(https?://[A-Za-z0-9.:\[\]-]+(/[^?#]*)?)?$")] = ""
    """The URL at which clients reach the API, such as https://example.com/penstock: the links in its answers start with
    it. If it is empty, they start with the URL to which the request was sent."""
    emulator_port: Port = 4566
    """The port of the AWS emulator in the local stack."""

    def __post_init__(self) -> None:
        """
        Raises:
            BadSetting: the soft time limit of a stage is not below its hard one.
        """
        wrong = [
            f"the soft time limit of {stage} is not below its hard one"
            for stage in Stage
            if self.soft_time_limit(stage) >= self.time_limit(stage)
        ]
        if wrong:
            raise BadSetting(why="; ".join(wrong))

    @classmethod
    def from_environment(cls, **overrides: object) -> Self:
        """Read the settings from the environment, except those that are passed as overrides.

        Raises:
            BadSetting: some values cannot be used; all of them are named.
            TypeError: an override is no setting.
        """
        if unknown := overrides.keys() - {each.name for each in fields(cls)}:
            raise TypeError(f"no settings: {', '.join(sorted(unknown))}")
        wrong: list[str] = []
        values = _read(cls, "PENSTOCK", overrides, wrong)
        if wrong:
            raise BadSetting(why="; ".join(wrong))
        return cls(**values)

    @property
    def publish_retries(self) -> int:
        return self.task_publish_retry_policy.get("max_retries", _RETRIES) if self.task_publish_retry else 0

    def soft_time_limit(self, stage: Stage) -> int:
        return _of_stage(self.task_soft_time_limit, stage, _SOFT_TIME_LIMIT)

    def time_limit(self, stage: Stage) -> int:
        return _of_stage(self.task_time_limit, stage, _TIME_LIMIT)

    @property
    def chosen_embedder(self) -> str:
        """The embedder that `auto` stands for, if it is set; otherwise the embedder itself."""
        if self.embedder != "auto":
            return self.embedder
        return "openai" if self.provider_key or os.environ.get("OPENAI_API_KEY") else "wordllama"


def _of_stage(limits: TimeLimits, stage: Stage, default: int) -> int:
    return limits.get(stage, default) if isinstance(limits, Mapping) else limits


def _read(kind: Any, prefix: str, overrides: Mapping[str, object], wrong: list[str]) -> dict[str, Any]:
    """The values of this dataclass's fields that the overrides or the environment have. A field that is a dataclass
    itself has a variable for each of its own fields. What cannot be used is appended to `wrong`."""
    values: dict[str, Any] = {}
    hints = get_type_hints(kind, include_extras=True)
    for each in fields(kind):
        variable, hint = f"{prefix}_{each.name.upper()}", hints[each.name]
        if isinstance(hint, type) and is_dataclass(hint) and each.name not in overrides:
            values[each.name] = hint(**_read(hint, variable, {}, wrong))
            continue
        value = overrides.get(each.name, os.environ.get(variable, MISSING))
        if value is MISSING or (value == "" and each.default is None):
            continue
        try:
            values[each.name] = _converted(value, hint)
        except ValueError as error:
            wrong.append(f"{variable} is {value!r}: {error}")
    return values


def _converted(value: object, kind: Any) -> Any:
    """The value as this type.

    Raises:
        ValueError: the value cannot be converted; the message says what was expected.
    """
    if isinstance(value, str) and any(get_origin(each) in {Mapping, frozenset} for each in (kind, *get_args(kind))):
        return msgspec.json.decode(value, type=kind)
    return msgspec.convert(value, kind, strict=False, dec_hook=lambda made, text: made(text))
