"""The wiring: the one place where adapters are chosen, by what the settings say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar
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

Maker = TypeVar("Maker", bound=Callable[..., Any])


def services(settings: Settings, *, queue: TaskQueue | None = None, clients: Clients | None = None) -> Services:
    """Everything that the verbs need. Nothing connects before its first use. Threads may share the result; it must not
    be carried over a fork.

    Args:
        queue: a queue to use instead of SQS.
        clients: the AWS clients of a caller that needs them too.

    Raises:
        Misconfigured: a setting is missing, or names an adapter that does not exist.
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
    """The clock that everything but tests uses."""
    return datetime.now(UTC)


def check_settings(settings: Settings) -> None:
    """
    Raises:
        Misconfigured: a setting that the stack's outputs give is missing.
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
    """
    Raises:
        Misconfigured: there is no index of this name.
    """
    return _maker(_INDEXES, "PENSTOCK_INDEX", settings.index)(settings, space)


def chosen_embedder(settings: Settings, clients: Clients) -> Embedder:
    """
    Raises:
        Misconfigured: there is no embedder of this name.
    """
    return _maker(_EMBEDDERS, "PENSTOCK_EMBEDDER", settings.embedder)(settings, clients)


def recognizer(settings: Settings, clients: Clients | None = None) -> Recognizer | None:
    """The recognizer that finds text in pictures. It is None where none is configured.

    Raises:
        Misconfigured: the recognizer is not installed, or there is none of this name.
    """
    return _maker(_RECOGNIZERS, "PENSTOCK_RECOGNIZER", settings.recognizer)(settings, clients)


def _maker(makers: Mapping[str, Maker], setting: str, value: str) -> Maker:
    """The function that makes the adapter which this value of a setting names: `NAME`, or `NAME:…` where the table has
    `NAME:DIR`.

    Raises:
        Misconfigured: the table has no such adapter; the message names those that it has.
    """
    name, _, argument = value.partition(":")
    key = f"{name}:DIR" if argument else value
    if key not in makers:
        raise Misconfigured(why=f"{setting} is {value!r}; there are: {', '.join(makers)}.")
    return makers[key]


def _sqlite(settings: Settings, space: Space) -> SearchIndex:
    from penstock.adapters.sqlite.index import SqliteIndex  # noqa: PLC0415 - only the adapter that is chosen

    return SqliteIndex(settings.index_path, space)


def _opensearch(settings: Settings, space: Space) -> SearchIndex:
    from penstock.adapters.opensearch.index import OpenSearchIndex  # noqa: PLC0415 - only the adapter that is chosen
    from penstock.adapters.opensearch.server import Server  # noqa: PLC0415

    return OpenSearchIndex(
        Server(settings.index_url, index_login(settings)),
        space,
        alias=settings.index_name,
        engine=settings.index_engine,
        shards=settings.index_shards,
    )


def index_login(settings: Settings) -> Login:
    """How this process identifies itself to the search server."""
    from penstock.adapters.opensearch.login import Login  # noqa: PLC0415 - only the adapter that is chosen

    method, host = settings.index_auth, urlsplit(settings.index_url).hostname or ""
    if method == "aws" or (method == "auto" and host.endswith(_AWS_DOMAINS)):
        return Login(signed=True)
    return Login() if method == "none" else Login(settings.index_user, settings.index_password)


_AWS_DOMAINS = (".es.amazonaws.com", ".es.amazonaws.com.cn", ".on.aws")


def _auto(settings: Settings, clients: Clients) -> Embedder:
    return _EMBEDDERS[settings.chosen_embedder](settings, clients)


def _openai(settings: Settings, clients: Clients) -> Embedder:
    from penstock.adapters.embedders.openai import OpenAIEmbedder  # noqa: PLC0415 - only the adapter that is chosen

    model, calls = settings.openai_model, settings.provider_calls
    return OpenAIEmbedder(
        model,
        settings.openai_dimensions,
        settings.openai_batch,
        StoredKey(clients.ssm, settings.provider_key) if settings.provider_key else None,
        texts=_rate_limiter(settings, clients),
        questions=RateLimiter(LocalBudgetTable(), model, now, calls=calls, backs_off=False),
    )


def _rate_limiter(settings: Settings, clients: Clients) -> RateLimiter:
    """The rate limiter of texts. Processes share it through the table if there is a budget to share; otherwise nothing
    is written."""
    from penstock.adapters.embedders.openai import REQUEST_TOKENS  # noqa: PLC0415 - only the adapter that is chosen

    model, calls = settings.openai_model, settings.provider_calls
    requests, tokens = settings.provider_requests_per_minute, settings.provider_tokens_per_minute
    if requests is None and tokens is None:
        return RateLimiter(LocalBudgetTable(), model, now, calls=calls)
    # Each of the two settings bounds the other: a request has at least one token, and at most REQUEST_TOKENS.
    limit = Amount(requests or tokens or 0, tokens or (requests or 0) * REQUEST_TOKENS)
    return RateLimiter(
        DynamoProviderBudgetTable(clients.dynamodb, settings.table), model, now, limit=limit, calls=calls
    )


def _wordllama(settings: Settings, clients: Clients) -> Embedder:  # noqa: ARG001 - it has nothing to set
    from penstock.adapters.embedders.wordllama import WordllamaEmbedder  # noqa: PLC0415 - only the adapter that is chosen

    return WordllamaEmbedder()


def _onnx(settings: Settings, clients: Clients) -> Embedder:  # noqa: ARG001 - it calls nobody
    from penstock.adapters.embedders.onnx import OnnxEmbedder  # noqa: PLC0415 - only the adapter that is chosen

    return OnnxEmbedder(Path(settings.embedder.partition(":")[2]))


def _no_recognizer(settings: Settings, clients: Clients | None) -> None:
    """Pages without text stay without text."""


def _tesseract(settings: Settings, clients: Clients | None) -> Recognizer:  # noqa: ARG001 - it calls nobody
    from penstock.adapters.recognizers.tesseract import TesseractRecognizer  # noqa: PLC0415 - only the chosen adapter

    return TesseractRecognizer(settings.recognizer_languages)


def _textract(settings: Settings, clients: Clients | None) -> Recognizer:  # noqa: ARG001 - it has nothing to set
    from penstock.adapters.recognizers.textract import TextractRecognizer  # noqa: PLC0415 - only the chosen adapter

    return TextractRecognizer((clients or aws_clients()).textract())


_INDEXES: Mapping[str, Callable[[Settings, Space], SearchIndex]] = MappingProxyType(
    {
        "sqlite": _sqlite,
        "opensearch": _opensearch,
    }
)
_EMBEDDERS: Mapping[str, Callable[[Settings, Clients], Embedder]] = MappingProxyType(
    {
        "auto": _auto,
        "openai": _openai,
        "wordllama": _wordllama,
        "onnx:DIR": _onnx,
    }
)
_RECOGNIZERS: Mapping[str, Callable[[Settings, Clients | None], Recognizer | None]] = MappingProxyType(
    {
        "none": _no_recognizer,
        "tesseract": _tesseract,
        "textract": _textract,
    }
)
"""An adapter is chosen by its line in one of these tables, under the name that its setting has."""


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
