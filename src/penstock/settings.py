"""What can be configured: read from the environment when asked for, never at import (I9)."""

from __future__ import annotations

from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


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

    index: str = Field(default="sqlite", description="sqlite: the embedded index; opensearch: a server.")
    index_path: Path = Field(default=Path(".penstock/index"), description="Folder of the embedded index.")
    index_url: str = Field(
        default="",
        validation_alias=AliasChoices("PENSTOCK_INDEX_URL", "OPENSEARCH_URL", "index_url"),
        description="Address of an OpenSearch server. OPENSEARCH_URL says the same.",
    )
    index_name: str = Field(
        default="penstock", pattern="^[a-z][a-z0-9-]*$", description="The alias of our index on the server."
    )
    index_auth: str = Field(
        default="auto",
        pattern="^(auto|aws|basic|none)$",
        description="aws: requests are signed (SigV4); basic: by name and password; auto: aws where the address is one "
        "of AWS, basic where there is a name, else none.",
    )
    index_user: str = Field(default="", description="Name for basic auth.")
    index_password: SecretStr = Field(default=SecretStr(""), description="Password for basic auth.")
    index_shards: int = Field(
        default=1, ge=1, le=1024, description="Shards of an index that is made; a tenant's chunks are in one of them."
    )
    index_engine: str = Field(
        default="lucene",
        pattern="^(lucene|faiss)$",
        description="Of the vectors of an index that is made. faiss takes less memory where there are millions, and "
        "needs a server with its native libraries, as a managed domain is.",
    )
    embedder: str = Field(
        default="auto",
        description="wordllama; openai; onnx:DIR, a model that was exported to ONNX; or auto: openai where "
        "OPENAI_API_KEY is set, else wordllama.",
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
    wait_seconds: int = Field(default=20, ge=0, le=20, description="How long a receive request waits for a message.")
    stop_seconds: float = Field(default=25, ge=0, description="How long running tasks may go on after SIGTERM.")

    api_host: str = Field(default="127.0.0.1", description="Where `penstock serve` listens.")
    api_port: int = Field(default=8080, ge=1, le=65535, description="The API's port.")
    emulator_port: int = Field(default=4566, ge=1, le=65535, description="The AWS emulator's port in the local stack.")
