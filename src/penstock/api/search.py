"""Search: questions in, hits with their citations out."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, StringConstraints

from penstock.api.auth import Caller
from penstock.api.dependencies import Given
from penstock.api.models import Answer, Hit, PageSpan, Parts
from penstock.api.openapi import answers, invalid, together
from penstock.domain.errors import BadRequest
from penstock.domain.ids import document_id
from penstock.search.query import MOST_CANDIDATES, MOST_CHARACTERS, MOST_HITS, Question, search
from penstock.search.query import Hit as Found

router = APIRouter(tags=["search"])

_MOST_FILTERS = 50
_MOMENT = "2026-01-31T00:00:00Z"

_EXAMPLE = Answer(
    query="how to reset a password",
    hits=[
        Hit(
            document_id="handbook",
            name="handbook.pdf",
            source="intranet",
            generation=1772357400000,
            page=8,
            pages=PageSpan(first=7, last=8),
            section=["Accounts", "Passwords"],
            score=0.91,
            snippet="To <mark>reset</mark> your <mark>password</mark>, open …",
            url="https://penstock.example/v1/documents/handbook/file?generation=1772357400000#page=8",
        )
    ],
    next_offset=None,
    incomplete=False,
    rounds=1,
    dropped=0,
)

Since = Annotated[AwareDatetime | None, Query(description="Only what arrived then or later.", examples=[_MOMENT])]
Before = Annotated[AwareDatetime | None, Query(description="Only what arrived before then.", examples=[_MOMENT])]
Words = list[Annotated[str, StringConstraints(min_length=1, max_length=128)]] | None


@router.get(
    "/search",
    summary="Search",
    responses=together(
        answers(
            HTTPStatus.OK,
            "The best chunks of what is active now, best first.",
            _EXAMPLE,
            BadRequest(why="The question is empty. Give at least one word to look for."),
        ),
        invalid("query.k", f"Input should be less than or equal to {MOST_HITS}", "less_than_equal"),
    ),
)
def get_search(
    *,
    request: Request,
    tenant: Caller,
    services: Given,
    q: Annotated[
        str, Query(max_length=MOST_CHARACTERS, description="Words, or a question.", examples=[_EXAMPLE.query])
    ],
    k: Annotated[int, Query(ge=1, le=MOST_HITS, description="The most hits.", examples=[10])] = 10,
    source: Annotated[
        Words, Query(max_length=_MOST_FILTERS, description="Only these; may be repeated.", examples=[["intranet"]])
    ] = None,
    document: Annotated[
        Words, Query(max_length=_MOST_FILTERS, description="Only these ids; may be repeated.", examples=[["handbook"]])
    ] = None,
    metadata: Annotated[
        Words,
        Query(max_length=_MOST_FILTERS, description="Only with these, `name:value`.", examples=[["team:pumps"]]),
    ] = None,
    since: Since = None,
    before: Before = None,
    offset: Annotated[int, Query(ge=0, le=MOST_CANDIDATES, description="`next_offset` of a page.", examples=[0])] = 0,
    one_per_document: Annotated[bool, Query(description="Of each document its best alone.", examples=[False])] = False,
    explain: Annotated[bool, Query(description="Say what each score is made of.", examples=[False])] = False,
) -> Answer:
    """Find text by its words and by its meaning. What stands in "double quotes" must be there exactly. Every hit is of
    the generation that is active: replaced and deleted text is never among them."""
    question = Question(
        text=q,
        k=k,
        sources=tuple(source or ()),
        documents=tuple(document_id(each) for each in document or ()),
        metadata=tuple(_named(each) for each in metadata or ()),
        since=since,
        before=before,
        offset=offset,
        one_per_document=one_per_document,
    )
    answer = search(services, tenant, question)
    return Answer(
        query=q,
        hits=[_hit(request, hit, explain=explain) for hit in answer.hits],
        next_offset=answer.next,
        incomplete=answer.incomplete,
        rounds=answer.rounds,
        dropped=answer.dropped,
    )


def _named(wanted: str) -> tuple[str, str]:
    name, colon, value = wanted.partition(":")
    if not colon or not name:
        raise BadRequest(why=f"metadata is {wanted!r}. Write it as name:value.")
    return name, value


def _hit(request: Request, hit: Found, *, explain: bool) -> Hit:
    pages = None
    if hit.first_page is not None and hit.last_page is not None:
        pages = PageSpan(first=hit.first_page, last=hit.last_page)
    url = request.url_for("original", document=hit.document).include_query_params(generation=hit.generation)
    return Hit(
        document_id=hit.document,
        name=hit.name,
        source=hit.source,
        generation=hit.generation,
        page=hit.page,
        pages=pages,
        section=list(hit.section),
        score=hit.score,
        snippet=hit.snippet,
        url=str(url) if hit.page is None else f"{url}#page={hit.page}",
        more=hit.more,
        parts=Parts(words=hit.parts.words, vectors=hit.parts.vectors) if explain else None,
    )
