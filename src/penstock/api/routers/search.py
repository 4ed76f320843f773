"""GET /v1/search: a question in, hits with their citations out."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, StringConstraints

from penstock.api.auth import CallerTenant
from penstock.api.dependencies import ServicesDep
from penstock.api.models.search import Answer, Hit, PageSpan, Parts
from penstock.api.openapi import merge_responses, responses, validation_error
from penstock.domain.errors import BadRequest
from penstock.domain.ids import document_id
from penstock.search.query import MOST_CANDIDATES, MOST_CHARACTERS, MOST_HITS, Question, search
from penstock.search.query import Hit as Found

router = APIRouter(prefix="/v1", tags=["search"])

_MAX_FILTERS = 50
_EXAMPLE_DATE = "2026-01-31T00:00:00Z"

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

Since = Annotated[
    AwareDatetime | None,
    Query(description="Only documents that arrived at this time or later.", examples=[_EXAMPLE_DATE]),
]
Before = Annotated[
    AwareDatetime | None, Query(description="Only documents that arrived before this time.", examples=[_EXAMPLE_DATE])
]
FilterValues = list[Annotated[str, StringConstraints(min_length=1, max_length=128)]] | None


@router.get(
    "/search",
    summary="Search documents",
    responses=merge_responses(
        responses(
            HTTPStatus.OK,
            "The best chunks of the generations that are active now, best first.",
            _EXAMPLE,
            BadRequest(why="The question is empty. Give at least one word to look for."),
        ),
        validation_error("query.k", f"Input should be less than or equal to {MOST_HITS}", "less_than_equal"),
    ),
)
def get_search(
    *,
    request: Request,
    tenant: CallerTenant,
    services: ServicesDep,
    q: Annotated[
        str,
        Query(max_length=MOST_CHARACTERS, description="Words to look for, or a question.", examples=[_EXAMPLE.query]),
    ],
    k: Annotated[int, Query(ge=1, le=MOST_HITS, description="The maximum number of hits.", examples=[10])] = 10,
    source: Annotated[
        FilterValues,
        Query(
            max_length=_MAX_FILTERS,
            description="Only documents of this source. May be repeated.",
            examples=[["intranet"]],
        ),
    ] = None,
    document: Annotated[
        FilterValues,
        Query(
            max_length=_MAX_FILTERS,
            description="Only the document with this id. May be repeated.",
            examples=[["handbook"]],
        ),
    ] = None,
    metadata: Annotated[
        FilterValues,
        Query(
            max_length=_MAX_FILTERS,
            description="Only documents with this metadata, written as `name:value`. May be repeated.",
            examples=[["team:pumps"]],
        ),
    ] = None,
    since: Since = None,
    before: Before = None,
    offset: Annotated[
        int,
        Query(
            ge=0,
            le=MOST_CANDIDATES,
            description="The number of best hits to skip: the `next_offset` of the page before.",
            examples=[0],
        ),
    ] = 0,
    one_per_document: Annotated[
        bool, Query(description="Return only the best hit of each document.", examples=[False])
    ] = False,
    explain: Annotated[bool, Query(description="Show the two parts of each score.", examples=[False])] = False,
) -> Answer:
    """Find text by its words and by its meaning. Text in "double quotes" must occur exactly. Every hit comes from the
    active generation of its document: replaced and deleted text is never returned."""
    question = Question(
        text=q,
        k=k,
        sources=tuple(source or ()),
        documents=tuple(document_id(each) for each in document or ()),
        metadata=tuple(_metadata_filter(each) for each in metadata or ()),
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


def _metadata_filter(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name:
        raise BadRequest(why=f"The metadata filter is {text!r}. Write it as name:value.")
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
