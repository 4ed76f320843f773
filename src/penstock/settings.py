"""What can be configured: read from the environment when asked for, never at import (I9)."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from penstock.extract.kinds import media_types
from penstock.extract.limits import ReadLimits


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
        default_factory=media_types,
        description="JSON list of media types that the HTTPS door takes: all that are read, unless it is set. The "
        "content decides later.",
    )
    link_seconds: int = Field(default=300, ge=1, le=604_800, description="How long a link to an original works.")

    chunk_chars: int = Field(default=4000, ge=200, description="The longest chunk, in characters.")
    overlap_chars: int = Field(default=400, ge=0, description="How much of a chunk repeats the end of the one before.")
    shard_chunks: int = Field(default=128, ge=1, description="Chunks per shard: the unit of embedding work.")

    extract_seconds: float = Field(default=600, gt=0, description="Wall time for reading one file.")
    extract_cpu_seconds: int = Field(default=600, ge=1, description="Processor time for reading one file.")
    extract_memory_bytes: int = Field(
        default=2_000_000_000, ge=268_435_456, description="Address space of the child that reads."
    )
    extract_open_files: int = Field(default=64, ge=16, description="Files that the child may have open.")
    extract_pages: int = Field(default=100_000, ge=1, description="The most pages read of one file.")
    extract_chars: int = Field(default=500_000_000, ge=1, description="The most characters taken from one file.")
    extract_archive_entries: int = Field(
        default=10_000, ge=1, description="The most entries of an archive, which an Office document is as well."
    )
    extract_archive_bytes: int = Field(
        default=2_000_000_000, ge=1, description="Bytes that the archives of one file may unfold to in all."
    )
    extract_archive_ratio: int = Field(
        default=200, ge=1, description="Times its size that an archive may unfold to; any may to 100 MB."
    )
    extract_nesting: int = Field(default=5, ge=0, description="How deep archives and messages may lie in each other.")
    extract_entity_chars: int = Field(
        default=1_000_000, ge=0, description="Characters that the entities of an XML file may unfold to."
    )
    extract_warm_files: int = Field(
        default=1000, ge=1, description="Files after which the process that children are forked from is replaced."
    )

    recognizer: str = Field(
        default="none",
        description="What finds text in pages of PDFs that have none: none, tesseract (installed on the worker), or "
        "textract (Amazon's, paid by the page).",
    )
    recognizer_languages: str = Field(default="eng", description="Tesseract's names of languages, such as eng+deu.")

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
    wait_seconds: int = Field(default=20, ge=0, le=20, description="How long a receive request waits for a message.")
    stop_seconds: float = Field(default=25, ge=0, description="How long running tasks may go on after SIGTERM.")

    api_host: str = Field(default="127.0.0.1", description="Where `penstock serve` listens.")
    api_port: int = Field(default=8080, ge=1, le=65535, description="The API's port.")
    emulator_port: int = Field(default=4566, ge=1, le=65535, description="The AWS emulator's port in the local stack.")

    def read_limits(self) -> ReadLimits:
        """What reading one file may cost."""
        return ReadLimits(**{each.name: getattr(self, f"extract_{each.name}") for each in fields(ReadLimits)})
