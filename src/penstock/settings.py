"""What can be configured: read from the environment when asked for, never at import (I9)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from penstock.task import Stage

_SOFT_TIME_LIMIT = 25 * 60
_TIME_LIMIT = 30 * 60
LONGEST_TASK = 11 * 60 * 60
"""Seconds: SQS ends a message's invisibility at twelve hours."""


def _for_each_stage(given: object) -> object:
    return given if isinstance(given, Mapping) else dict.fromkeys(Stage, given)


def _bounded(limits: dict[Stage, int]) -> dict[Stage, int]:
    if not all(0 < limit <= LONGEST_TASK for limit in limits.values()):
        raise ValueError(f"a time limit is more than 0 seconds and at most {LONGEST_TASK}")
    return limits


TimeLimits = Annotated[dict[Stage, int], BeforeValidator(_for_each_stage), AfterValidator(_bounded)]
"""Seconds: one number for all stages, or a JSON object of stages, where the others keep the default."""


class Settings(BaseSettings):
    """Each field is the environment variable PENSTOCK_<FIELD>. AWS's own variables (AWS_ENDPOINT_URL, AWS_REGION,
    credentials) and OpenAI's (OPENAI_API_KEY, OPENAI_BASE_URL) keep their names and are read by their libraries."""

    model_config = SettingsConfigDict(env_prefix="PENSTOCK_", extra="ignore", frozen=True)

    bucket: str = Field(default="", description="The bucket of originals, of the drop folder and of work files.")
    table: str = Field(default="", description="The DynamoDB table.")
    queues: dict[str, str] = Field(default_factory=dict, description="JSON: stage queue name to URL.")
    dead_letters: dict[str, str] = Field(
        default_factory=dict, description="JSON: stage to the URL of its dead-letter queue."
    )
    arrivals: str = Field(default="", description="URL of the queue that S3 tells of arrivals and removals.")

    index: str = Field(default="sqlite", description="sqlite: the embedded index.")
    index_path: Path = Field(default=Path(".penstock/index"), description="Folder of the embedded index.")
    embedder: str = Field(
        default="auto", description="wordllama, openai, or auto: openai where OPENAI_API_KEY is set, else wordllama."
    )
    openai_model: str = Field(
        default="text-embedding-3-small", description="Embedding model of the OpenAI-compatible API."
    )
    openai_dimensions: int = Field(default=1536, ge=1, le=8192, description="Dimensions asked of that model.")
    openai_batch: int = Field(default=128, ge=1, le=2048, description="Texts per embedding request.")

    max_file_bytes: int = Field(default=500_000_000, ge=1, description="The largest file that is accepted.")
    max_direct_bytes: int | None = Field(
        default=None,
        ge=1,
        description="The largest request that takes files itself; larger ones are told to use POST /v1/uploads. In "
        "Lambda 4500000 fit.",
    )
    upload_seconds: int = Field(
        default=3600, ge=1, le=43_200, description="How long S3 takes the file of an upload that was announced."
    )
    accepted_types: frozenset[str] = Field(
        default=frozenset({"application/pdf", "text/markdown", "text/plain"}),
        description="JSON list of media types that the HTTPS door takes; the content decides later.",
    )
    link_seconds: int = Field(default=300, ge=1, le=604_800, description="How long a link to an original works.")

    chunk_chars: int = Field(default=4000, ge=200, description="The longest chunk, in characters.")
    overlap_chars: int = Field(default=400, ge=0, description="How much of a chunk repeats the end of the one before.")
    shard_chunks: int = Field(default=128, ge=1, description="Chunks per shard: the unit of embedding work.")

    extract_seconds: float = Field(default=600, gt=0, description="Wall time for reading one file.")
    extract_memory_bytes: int = Field(
        default=2_000_000_000, ge=268_435_456, description="Address space of the child that reads."
    )
    extract_pages: int = Field(default=100_000, ge=1, description="The most pages read of one file.")
    extract_chars: int = Field(default=500_000_000, ge=1, description="The most characters taken from one file.")

    attempts: int = Field(default=10, ge=1, description="Tries per stage and shard before a document fails.")
    lease_seconds: int = Field(default=120, ge=5, description="Length of a lease; a live worker renews it at a third.")
    visibility_seconds: int = Field(
        default=120, ge=5, description="Visibility a Celery worker asks for when it receives."
    )
    resend_seconds: int = Field(
        default=600, ge=1, description="When the sweep first looks for a message that was lost."
    )

    log_json: bool = Field(
        default=False,
        description="Whether a worker logs JSON, with metrics, as CloudWatch reads it. In Lambda all do.",
    )
    worker_concurrency: int = Field(default=2, ge=1, description="Celery's name: processes of one worker.")
    worker_prefetch_multiplier: int = Field(default=2, ge=1, description="Celery's name: messages held per process.")
    worker_max_tasks_per_child: int | None = Field(
        default=None, ge=1, description="Celery's name: tasks after which a process is replaced."
    )
    worker_max_memory_per_child: int | None = Field(
        default=None, ge=1, description="Celery's name: KiB resident after which a process is replaced when idle."
    )
    task_soft_time_limit: TimeLimits = Field(
        default=_SOFT_TIME_LIMIT,
        validate_default=True,
        description="Celery's name: seconds after which a task saves where it is and hands back. A number, or JSON of "
        "stages.",
    )
    task_time_limit: TimeLimits = Field(
        default=_TIME_LIMIT,
        validate_default=True,
        description="Celery's name: seconds after which a task's process is killed. A number, or JSON of stages.",
    )
    task_publish_retry: bool = Field(
        default=True, description="Celery's name: whether a message that SQS did not take is sent again at once."
    )
    task_publish_retry_policy: dict[Literal["max_retries"], Annotated[int, Field(ge=0, le=10)]] = Field(
        default={"max_retries": 3},
        description="Celery's name, JSON, of which there is max_retries; the waits in between are exponential with "
        "jitter. What is not sent then, the sweep sends.",
    )
    wait_seconds: int = Field(default=20, ge=0, le=20, description="How long a receive request waits for a message.")
    stop_seconds: float = Field(
        default=25,
        ge=0,
        description="How long a worker takes to stop, at most: running tasks hand back at their next checkpoint, and "
        "are interrupted five seconds before the end.",
    )

    api_host: str = Field(default="127.0.0.1", description="Where `penstock serve` listens.")
    api_port: int = Field(default=8080, ge=1, le=65535, description="The API's port.")
    emulator_port: int = Field(default=4566, ge=1, le=65535, description="The AWS emulator's port in the local stack.")

    @model_validator(mode="after")
    def _soft_before_hard(self) -> Self:
        for stage in Stage:
            if self.soft_time_limit(stage) >= self.time_limit(stage):
                raise ValueError(f"the soft time limit of {stage} is not below its hard one")
        return self

    @property
    def publish_retries(self) -> int:
        return self.task_publish_retry_policy.get("max_retries", 3) if self.task_publish_retry else 0

    def soft_time_limit(self, stage: Stage) -> int:
        return self.task_soft_time_limit.get(stage, _SOFT_TIME_LIMIT)

    def time_limit(self, stage: Stage) -> int:
        return self.task_time_limit.get(stage, _TIME_LIMIT)
