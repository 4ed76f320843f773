"""Wiring: the one place where adapters are chosen."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from penstock.adapters.aws.clients import Clients, aws_clients, textract_client
from penstock.adapters.aws.documents import DynamoDocumentTable
from penstock.adapters.aws.keys import DynamoKeyTable
from penstock.adapters.aws.objects import S3ObjectStore
from penstock.adapters.aws.pings import DynamoPingTable
from penstock.adapters.aws.queue import SqsTaskQueue
from penstock.adapters.aws.textract import TextractRecognizer
from penstock.adapters.aws.uploads import DynamoUploadTable
from penstock.adapters.openai_embedder import OpenAIEmbedder
from penstock.adapters.sqlite_index import SqliteIndex
from penstock.adapters.tesseract_recognizer import TesseractRecognizer
from penstock.adapters.wordllama_embedder import WordllamaEmbedder
from penstock.chunk import Space
from penstock.errors import Misconfigured
from penstock.extract.reader import ChildReader
from penstock.ports import Embedder, Limits, Recognizer, SearchIndex, Services, TaskQueue
from penstock.settings import Settings


def services(settings: Settings, *, queue: TaskQueue | None = None, clients: Clients | None = None) -> Services:
    """All that the verbs need. Nothing connects before its first use; what is made here may be shared by threads, but
    not across a fork.

    Args:
        queue: in the place of SQS.
        clients: made by the caller, who needs them too.

    Raises:
        Misconfigured: a setting is missing, or names an adapter that there is none of.
    """
    check_given(settings)
    clients = clients or aws_clients()
    embedder = _embedder(settings)
    return Services(
        objects=S3ObjectStore(clients.s3, settings.bucket),
        documents=DynamoDocumentTable(clients.dynamodb, settings.table),
        queue=queue or _queue(clients, settings),
        embedder=embedder,
        index=_index(settings, embedder.space),
        reader=ChildReader(settings.read_limits(), recognizer(settings)),
        keys=DynamoKeyTable(clients.dynamodb, settings.table),
        pings=DynamoPingTable(clients.dynamodb, settings.table),
        uploads=DynamoUploadTable(clients.dynamodb, settings.table),
        clock=now,
        limits=_limits(settings),
    )


def now() -> datetime:
    """The clock of everything that is not a test."""
    return datetime.now(UTC)


def check_given(settings: Settings) -> None:
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


def _index(settings: Settings, space: Space) -> SearchIndex:
    if settings.index != "sqlite":
        raise Misconfigured(why=f"PENSTOCK_INDEX is {settings.index!r}; there is: sqlite.")
    return SqliteIndex(settings.index_path, space)


def _openai(settings: Settings) -> Embedder:
    return OpenAIEmbedder(settings.openai_model, settings.openai_dimensions, settings.openai_batch)


_EMBEDDERS: Mapping[str, Callable[[Settings], Embedder]] = MappingProxyType(
    {"openai": _openai, "wordllama": lambda _: WordllamaEmbedder()}
)


def _embedder(settings: Settings) -> Embedder:
    name = settings.embedder
    if name == "auto":
        name = "openai" if os.environ.get("OPENAI_API_KEY") else "wordllama"
    if name not in _EMBEDDERS:
        raise Misconfigured(why=f"PENSTOCK_EMBEDDER is {name!r}; there are: auto, {', '.join(_EMBEDDERS)}.")
    return _EMBEDDERS[name](settings)


def recognizer(settings: Settings) -> Recognizer | None:
    """
    Raises:
        Misconfigured: it is not installed, or there is none of this name.
    """
    match settings.recognizer:
        case "none":
            return None
        case "tesseract":
            return TesseractRecognizer(settings.recognizer_languages)
        case "textract":
            return TextractRecognizer(textract_client())
    raise Misconfigured(why=f"PENSTOCK_RECOGNIZER is {settings.recognizer!r}; there are: none, tesseract, textract.")


def _limits(settings: Settings) -> Limits:
    return Limits(
        lease=timedelta(seconds=settings.lease_seconds),
        attempts=settings.attempts,
        resend=timedelta(seconds=settings.resend_seconds),
        file=settings.max_file_bytes,
        chunk=settings.chunk_chars,
        overlap=settings.overlap_chars,
        shard=settings.shard_chunks,
    )
