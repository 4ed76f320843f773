"""The demo: add the samples by HTTPS and by the drop folder, find them by search, and print what each took."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
from rich.console import Console
from rich.table import Table

from penstock.adapters.aws.clients import aws_clients
from penstock.domain.errors import Permanent
from penstock.domain.ids import derived_id
from penstock.domain.status import PUBLISHED
from penstock.local.highlight import highlighted
from penstock.local.stack import TENANT, Stack

_SOURCE = "samples"
_FINAL_SECONDS = 120.0
_FINAL = {status.value for status in PUBLISHED} | {"failed", "cancelled", "deleted"}


class DemoFailed(Permanent):
    """{why}"""

    code = "demo_failed"


@dataclass(frozen=True, slots=True)
class Question:
    """A query, and the page of the sample that it has to find."""

    query: str
    document: str
    page: int | None
    says: str


@dataclass(frozen=True, slots=True)
class AddedSample:
    """A sample that was added, and the way by which it was added."""

    way: str
    name: str
    document: str
    is_new: bool
    """False if the document existed already, so that there was no work to do."""


def samples(folder: Path) -> tuple[list[Path], list[Question]]:
    """The files of the samples, and the questions that find them."""
    questions = [Question(**each) for each in orjson.loads((folder / "queries.json").read_bytes())]
    return [folder / name for name in dict.fromkeys(question.document for question in questions)], questions


def add_samples(stack: Stack, client: httpx.Client, files: Sequence[Path], *, run: str) -> Iterator[AddedSample]:
    """Add all files by HTTPS, and then all by the drop folder. The second time, the vectors of the first are reused.

    Args:
        run: if it is not empty, it becomes part of every id and key, so that the same bytes become new documents.
    """
    yield from _add_by_https(client, files, run=run)
    s3, bucket = aws_clients().s3, stack.environment["PENSTOCK_BUCKET"]
    for file in files:
        key = f"drop/{TENANT}/{_SOURCE}/{run + '/' if run else ''}{file.name}"
        document = derived_id(TENANT, key)
        exists = client.get(f"/v1/documents/{document}").is_success
        s3.upload_file(str(file), bucket, key)
        yield AddedSample("S3 drop folder", file.name, document, not exists)


def _add_by_https(client: httpx.Client, files: Sequence[Path], *, run: str) -> Iterator[AddedSample]:
    for file in files:
        fields = {"source": _SOURCE, **({"document_id": f"{run}-{file.name}"} if run else {})}
        with file.open("rb") as content:
            answer = client.post("/v1/documents", files={"files": (file.name, content)}, data=fields)
        _raise_for(answer)
        (added,) = answer.json()["documents"]
        yield AddedSample("HTTPS", file.name, added["document_id"], not added["already_here"])


def await_final(client: httpx.Client, document: str) -> dict[str, Any]:
    """Wait until the document has a final state, and return it.

    Raises:
        DemoFailed: the document has no final state after two minutes.
    """
    deadline = time.monotonic() + _FINAL_SECONDS
    while True:
        answer = client.get(f"/v1/documents/{document}")
        if answer.status_code != httpx.codes.NOT_FOUND:  # the event of the drop folder may not have arrived yet
            _raise_for(answer)
            found: dict[str, Any] = answer.json()
            if found["status"] in _FINAL:
                return found
        if time.monotonic() > deadline:
            raise DemoFailed(
                why=f"Document {document} has no final state after {_FINAL_SECONDS:.0f} s: {answer.text[:300]}"
            )
        time.sleep(0.1)


def best_hits(client: httpx.Client, question: Question, documents: Sequence[str]) -> list[dict[str, Any]]:
    """The best hit in each of these documents, which all have the bytes of one sample.

    Raises:
        DemoFailed: the sample is not found, or not on the right page.
    """
    best = []
    for document in documents:
        answer = client.get("/v1/search", params={"q": question.query, "k": 3, "document": document})
        _raise_for(answer)
        hits = [hit for hit in answer.json()["hits"] if _answers(hit, question)]
        if not hits:
            raise DemoFailed(why=f"{question.query!r} does not find {question.document}, page {question.page}.")
        best.append(hits[0])
    return best


def _answers(hit: dict[str, Any], question: Question) -> bool:
    return bool(hit["name"] == question.document and hit["page"] == question.page)


def demo(stack: Stack, folder: Path, console: Console, *, new_ids: bool) -> None:
    """Add the samples in both ways, search for each of them, and print two tables.

    Raises:
        DemoFailed: a sample could not be added, or is not found. The message says which and why.
    """
    files, questions = samples(folder)
    run = str(time.time_ns()) if new_ids else ""
    table = Table("added by", "document", "status", "pages", "chunks", "seconds", "texts embedded", title="Documents")
    ids: dict[str, list[str]] = {}
    embedded = 0
    with _client(stack) as client:
        for sample in add_samples(stack, client, files, run=run):
            document = await_final(client, sample.document)
            ids.setdefault(sample.name, []).append(sample.document)
            receipt = document["receipt"] or {}
            paid = receipt.get("embedded", 0) if sample.is_new else 0
            embedded += paid
            seconds = f"{receipt.get('seconds', 0):.2f}" if sample.is_new else "already here"
            pages = str(receipt.get("pages", "")) if receipt.get("paged") else "–"
            cells = (sample.way, sample.name, document["status"], pages, str(document["chunks"]), seconds, str(paid))
            table.add_row(*cells)
            if document["status"] not in {status.value for status in PUBLISHED}:
                raise DemoFailed(why=f"{sample.name} is {document['status']}: {document['error']}")
        console.print(table)
        console.print(f"Texts sent to the embedder in this run: {embedded}")
        show_answers(console, client, questions, ids)


def show_samples(stack: Stack, folder: Path, console: Console) -> None:
    """Add the samples by HTTPS, unless they exist already, and search for them.

    Raises:
        DemoFailed: a sample could not be added, or is not found.
    """
    files, questions = samples(folder)
    with _client(stack) as client:
        added = list(_add_by_https(client, files, run=""))
        for each in added:
            await_final(client, each.document)
        show_answers(console, client, questions, {each.name: [each.document] for each in added})


def show_answers(
    console: Console, client: httpx.Client, questions: Sequence[Question], ids: dict[str, list[str]]
) -> None:
    """Search for each sample, and print a table of the hits.

    Raises:
        DemoFailed: a sample is not found.
    """
    table = Table(title="Answers", expand=True)
    for name, share in (("question", 2), ("found in", None), ("page", None), ("snippet", 3)):
        table.add_column(name, ratio=share, no_wrap=True, overflow="ellipsis")
    for question in questions:
        hit = best_hits(client, question, ids[question.document])[0]
        table.add_row(question.query, hit["name"], str(hit["page"] or "–"), highlighted(hit["snippet"], "bold"))
    console.print(table)


def _client(stack: Stack) -> httpx.Client:
    return httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {stack.key}"}, timeout=60)


def _raise_for(answer: httpx.Response) -> None:
    if not answer.is_success:
        request = f"{answer.request.method} {answer.request.url.path}"
        raise DemoFailed(why=f"{request} answered {answer.status_code}: {answer.text[:500]}")
