"""The main job, once: the samples in through both doors, found again by search, and a table of what it took."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from penstock.adapters.aws.clients import aws_clients
from penstock.domain.errors import Permanent
from penstock.domain.ids import derived_id
from penstock.domain.status import PUBLISHED
from penstock.local.stack import TENANT, Stack

_SOURCE = "samples"
_SECONDS = 120.0
_FINAL = {status.value for status in PUBLISHED} | {"failed", "cancelled", "deleted"}


class DemoFailed(Permanent):
    """{why}"""

    code = "demo_failed"


@dataclass(frozen=True, slots=True)
class Question:
    """What a sample must be found by."""

    query: str
    document: str
    page: int | None
    says: str


@dataclass(frozen=True, slots=True)
class Entered:
    """A sample that went in through a door."""

    door: str
    name: str
    document: str
    worked: bool
    """False where it was there already, so that nothing had to be done."""


def samples(folder: Path) -> tuple[list[Path], list[Question]]:
    """The documents, and for each what it must be found by."""
    questions = [Question(**each) for each in orjson.loads((folder / "queries.json").read_bytes())]
    return [folder / name for name in dict.fromkeys(question.document for question in questions)], questions


def enter(stack: Stack, client: httpx.Client, files: Sequence[Path], *, run: str) -> Iterator[Entered]:
    """All by HTTPS and then all by the drop folder, so that the second door finds what the first has paid for.

    Args:
        run: not empty, it becomes part of every id and key: the same bytes as new documents.
    """
    yield from _by_https(client, files, run=run)
    s3, bucket = aws_clients().s3, stack.environment["PENSTOCK_BUCKET"]
    for file in files:
        key = f"drop/{TENANT}/{_SOURCE}/{run + '/' if run else ''}{file.name}"
        document = derived_id(TENANT, key)
        there = client.get(f"/v1/documents/{document}").is_success
        s3.upload_file(str(file), bucket, key)
        yield Entered("S3 drop folder", file.name, document, not there)


def _by_https(client: httpx.Client, files: Sequence[Path], *, run: str) -> Iterator[Entered]:
    for file in files:
        fields = {"source": _SOURCE, **({"document_id": f"{run}-{file.name}"} if run else {})}
        with file.open("rb") as content:
            answer = client.post("/v1/documents", files={"files": (file.name, content)}, data=fields)
        _raise_for(answer)
        (entered,) = answer.json()["documents"]
        yield Entered("HTTPS", file.name, entered["document_id"], not entered["already_here"])


def await_final(client: httpx.Client, document: str) -> dict[str, Any]:
    """The document, once it has a final state.

    Raises:
        DemoFailed: it took too long.
    """
    deadline = time.monotonic() + _SECONDS
    while True:
        answer = client.get(f"/v1/documents/{document}")
        if answer.status_code != httpx.codes.NOT_FOUND:  # the drop folder's event may still be on its way
            _raise_for(answer)
            found: dict[str, Any] = answer.json()
            if found["status"] in _FINAL:
                return found
        if time.monotonic() > deadline:
            raise DemoFailed(why=f"Document {document} has no final state after {_SECONDS:.0f} s: {answer.text[:300]}")
        time.sleep(0.1)


def ask(client: httpx.Client, question: Question, documents: Sequence[str]) -> list[dict[str, Any]]:
    """The best hit in each of these documents, all of one sample.

    Raises:
        DemoFailed: the sample is not found, or not on its page.
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
    """
    Raises:
        DemoFailed: a sample did not get in, or is not found; which and why.
    """
    files, questions = samples(folder)
    run = str(time.time_ns()) if new_ids else ""
    table = Table("door", "document", "status", "pages", "chunks", "seconds", "texts embedded", title="Documents")
    ids: dict[str, list[str]] = {}
    embedded = 0
    with _client(stack) as client:
        for entered in enter(stack, client, files, run=run):
            found = await_final(client, entered.document)
            ids.setdefault(entered.name, []).append(entered.document)
            receipt = found["receipt"] or {}
            paid = receipt.get("embedded", 0) if entered.worked else 0
            embedded += paid
            seconds = f"{receipt.get('seconds', 0):.2f}" if entered.worked else "already here"
            pages = str(receipt.get("pages", "")) if receipt.get("paged") else "–"
            cells = (entered.door, entered.name, found["status"], pages, str(found["chunks"]), seconds, str(paid))
            table.add_row(*cells)
            if found["status"] not in {status.value for status in PUBLISHED}:
                raise DemoFailed(why=f"{entered.name} is {found['status']}: {found['error']}")
        console.print(table)
        console.print(f"Texts sent to the embedder in this run: {embedded}")
        show_answers(console, client, questions, ids)


def show_samples(stack: Stack, folder: Path, console: Console) -> None:
    """Put the samples in by HTTPS, unless they are there, and ask for them.

    Raises:
        DemoFailed: a sample did not get in, or is not found.
    """
    files, questions = samples(folder)
    with _client(stack) as client:
        entered = list(_by_https(client, files, run=""))
        for each in entered:
            await_final(client, each.document)
        show_answers(console, client, questions, {each.name: [each.document] for each in entered})


def show_answers(
    console: Console, client: httpx.Client, questions: Sequence[Question], ids: dict[str, list[str]]
) -> None:
    """
    Raises:
        DemoFailed: a sample is not found.
    """
    table = Table(title="Answers", expand=True)
    for name, share in (("asked", 2), ("found in", None), ("page", None), ("says", 3)):
        table.add_column(name, ratio=share, no_wrap=True, overflow="ellipsis")
    for question in questions:
        hit = ask(client, question, ids[question.document])[0]
        table.add_row(question.query, hit["name"], str(hit["page"] or "–"), _marked(hit["snippet"]))
    console.print(table)


def _marked(snippet: str) -> Text:
    """HTML with <mark>, as a terminal shows it."""
    text = Text()
    for number, part in enumerate(re.split(r"</?mark>", snippet)):
        text.append(html.unescape(part), style="bold" if number % 2 else "")
    return text


def _client(stack: Stack) -> httpx.Client:
    return httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {stack.key}"}, timeout=60)


def _raise_for(answer: httpx.Response) -> None:
    if not answer.is_success:
        asked = f"{answer.request.method} {answer.request.url.path}"
        raise DemoFailed(why=f"{asked} answered {answer.status_code}: {answer.text[:500]}")
