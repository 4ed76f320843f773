"""Wiring: the one place where adapters are chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from penstock.adapters.aws.budget import DynamoProviderBudgetTable
from penstock.adapters.aws.clients import Clients, aws_clients
from penstock.adapters.aws.documents import DynamoDocumentTable
from penstock.adapters.aws.keys import DynamoKeyTable
from penstock.adapters.aws.objects import S3ObjectStore
from penstock.adapters.aws.pings import DynamoPingTable
from penstock.adapters.aws.provider_key import StoredKey
from penstock.adapters.aws.queue import SqsTaskQueue
from penstock.adapters.aws.uploads import DynamoUploadTable
from penstock.domain.chunk import Space
from penstock.domain.errors import Misconfigured
from penstock.domain.provider_budget import Amount
from penstock.ports import Embedder, Recognizer, SearchIndex, TaskQueue
from penstock.rate_limit.limiter import RateLimiter
from penstock.rate_limit.local_budget import LocalBudgetTable
from penstock.reading.sandbox.reader import ChildReader
from penstock.services import Limits, Services
from penstock.settings import Settings

if TYPE_CHECKING:
    from penstock.adapters.opensearch.login import Login


def services(settings: Settings, *, queue: TaskQueue | None = None, clients: Clients | None = None) -> Services:
    """All that the verbs need. Nothing connects before its first use; what is made here may be shared by threads, but
    not across a fork.

    Args:
        queue: in the place of SQS.
        clients: made by the caller, who needs them too.

    Raises:
        Misconfigured: a setting is missing, or names an adapter that there is none of.
    """
    check_settings(settings)
    clients = clients or aws_clients(publish_retries=settings.publish_retries)
    embedder = chosen_embedder(settings, clients)
    return Services(
        objects=S3ObjectStore(clients.s3, settings.bucket),
        documents=DynamoDocumentTable(clients.dynamodb, settings.table),
        queue=queue or _queue(clients, settings),
        embedder=embedder,
        index=chosen_index(settings, embedder.space),
        reader=ChildReader(settings.extract, recognizer(settings, clients)),
        keys=DynamoKeyTable(clients.dynamodb, settings.table),
        pings=DynamoPingTable(clients.dynamodb, settings.table),
        uploads=DynamoUploadTable(clients.dynamodb, settings.table),
        clock=now,
        limits=_limits(settings),
    )


def now() -> datetime:
    """The clock of everything that is not a test."""
    return datetime.now(UTC)


def check_settings(settings: Settings) -> None:
    """
    Raises:
        Misconfigured: what the stack's outputs say is missing.
    """
    needed = {
        "PENSTOCK_BUCKET": settings.bucket,
        "PENSTOCK_TABLE": settings.table,
        "PENSTOCK_QUEUES": settings.queues,
        "PENSTOCK_DEAD_LETTERS": settings.dead_letters,
    }
    missing = [name for name, value in needed.items() if not value]
    if missing:
        why = f"Set {', '.join(missing)}: the outputs of the stack (of a local run: in .penstock/env)."
        raise Misconfigured(why=why)


def _queue(clients: Clients, settings: Settings) -> TaskQueue:
    return SqsTaskQueue(clients.sqs, settings.queues, settings.dead_letters)


def chosen_index(settings: Settings, space: Space) -> SearchIndex:
    if settings.index not in _INDICES:
        raise Misconfigured(why=f"PENSTOCK_INDEX is {settings.index!r}; there are: {', '.join(_INDICES)}.")
    return _INDICES[settings.index](settings, space)


def _sqlite(settings: Settings, space: Space) -> SearchIndex:
    from penstock.adapters.sqlite.index import SqliteIndex  # noqa: PLC0415 - only the index that is chosen

    return SqliteIndex(settings.index_path, space)


def _opensearch(settings: Settings, space: Space) -> SearchIndex:
    from penstock.adapters.opensearch.index import OpenSearchIndex  # noqa: PLC0415
    from penstock.adapters.opensearch.server import Server  # noqa: PLC0415 - only the index that is chosen

    return OpenSearchIndex(
        Server(settings.index_url, index_login(settings)),
        space,
        alias=settings.index_name,
        engine=settings.index_engine,
        shards=settings.index_shards,
    )


def index_login(settings: Settings) -> Login:
    """Who this process is to the search server."""
    from penstock.adapters.opensearch.login import Login  # noqa: PLC0415 - only the index that is chosen

    how, host = settings.index_auth, urlsplit(settings.index_url).hostname or ""
    if how == "aws" or (how == "auto" and host.endswith(_OF_AWS)):
        return Login(signed=True)
    return Login() if how == "none" else Login(settings.index_user, settings.index_password)


_OF_AWS = (".es.amazonaws.com", ".es.amazonaws.com.cn", ".on.aws")
_INDICES: Mapping[str, Callable[[Settings, Space], SearchIndex]] = MappingProxyType(
    {"sqlite": _sqlite, "opensearch": _opensearch}
)


def _openai(settings: Settings, clients: Clients) -> Embedder:
    from penstock.adapters.embedders.openai import OpenAIEmbedder  # noqa: PLC0415 - only the embedder that is chosen

    model, calls = settings.openai_model, settings.provider_calls
    return OpenAIEmbedder(
        model,
        settings.openai_dimensions,
        settings.openai_batch,
        StoredKey(clients.ssm, settings.provider_key) if settings.provider_key else None,
        texts=_rate_limiter(settings, clients),
        questions=RateLimiter(LocalBudgetTable(), model, now, calls=calls, slows=False),
    )


def _rate_limiter(settings: Settings, clients: Clients) -> RateLimiter:
    """Shared through the table where there is a budget to share; without one, nothing is written."""
    from penstock.adapters.embedders.openai import REQUEST_TOKENS  # noqa: PLC0415 - only the embedder that is chosen

    model, calls = settings.openai_model, settings.provider_calls
    requests, tokens = settings.provider_requests_per_minute, settings.provider_tokens_per_minute
    if requests is None and tokens is None:
        return RateLimiter(LocalBudgetTable(), model, now, calls=calls)
    # What one of them says of the other: a request is of one token or more, and of no more than it takes.
    limit = Amount(requests or tokens or 0, tokens or (requests or 0) * REQUEST_TOKENS)
    return RateLimiter(
        DynamoProviderBudgetTable(clients.dynamodb, settings.table), model, now, limit=limit, calls=calls
    )


def _wordllama(settings: Settings, clients: Clients) -> Embedder:  # noqa: ARG001 - it runs here, with nothing to set
    from penstock.adapters.embedders.wordllama import WordllamaEmbedder  # noqa: PLC0415 - only the embedder that is chosen

    return WordllamaEmbedder()


_EMBEDDERS: Mapping[str, Callable[[Settings, Clients], Embedder]] = MappingProxyType(
    {"openai": _openai, "wordllama": _wordllama}
)


def chosen_embedder(settings: Settings, clients: Clients) -> Embedder:
    name = settings.chosen_embedder
    kind, _, folder = name.partition(":")
    if kind == "onnx" and folder:
        from penstock.adapters.embedders.onnx import OnnxEmbedder  # noqa: PLC0415 - only the embedder that is chosen

        return OnnxEmbedder(Path(folder))
    if name not in _EMBEDDERS:
        raise Misconfigured(why=f"PENSTOCK_EMBEDDER is {name!r}; there are: auto, {', '.join(_EMBEDDERS)}, onnx:DIR.")
    return _EMBEDDERS[name](settings, clients)


def recognizer(settings: Settings, clients: Clients | None = None) -> Recognizer | None:
    """
    Raises:
        Misconfigured: it is not installed, or there is none of this name.
    """
    match settings.recognizer:
        case "none":
            return None
        case "tesseract":
            from penstock.adapters.recognizers.tesseract import TesseractRecognizer  # noqa: PLC0415 - only if chosen

            return TesseractRecognizer(settings.recognizer_languages)
        case "textract":
            from penstock.adapters.recognizers.textract import TextractRecognizer  # noqa: PLC0415 - only if chosen

            return TextractRecognizer((clients or aws_clients()).textract())
    raise Misconfigured(why=f"PENSTOCK_RECOGNIZER is {settings.recognizer!r}; there are: none, tesseract, textract.")


def _limits(settings: Settings) -> Limits:
    return Limits(
        lease=timedelta(seconds=settings.lease_seconds),
        attempts=settings.attempts,
        resend_after=timedelta(seconds=settings.resend_seconds),
        file_bytes=settings.max_file_bytes,
        chunk_chars=settings.chunk_chars,
        overlap_chars=settings.overlap_chars,
        shard_chunks=settings.shard_chunks,
    )
