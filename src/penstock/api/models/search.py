"""Models of GET /v1/search: hits, and what a citation needs."""

from __future__ import annotations

from pydantic import BaseModel, Field


class PageSpan(BaseModel):
    """A run of pages. Both ends are included; pages are counted from 1."""

    first: int
    last: int


class Parts(BaseModel):
    """What the two kinds of search add to a score."""

    words: float = Field(description="The share of the score that comes from matching words (BM25).")
    vectors: float = Field(description="The share of the score that comes from similar meaning (vectors).")


class Hit(BaseModel):
    """A chunk that answers the query, with what a citation needs."""

    document_id: str
    name: str = Field(description="The file's name.")
    source: str = Field(description="The source that was given when the document was added.")
    generation: int = Field(description="The generation of the document that the hit comes from.")
    page: int | None = Field(description="The page on which the snippet stands. Null if the format has no pages.")
    pages: PageSpan | None = Field(
        description="The pages on which the whole chunk stands. Null if the format has no pages."
    )
    section: list[str] = Field(description="The headings above the chunk, outermost first.")
    score: float = Field(description="Higher is better. Scores are comparable within one answer only.")
    snippet: str = Field(description="The best part of the text as HTML, with the words of the query in `<mark>`.")
    url: str = Field(description="The address of the original file, opened at the page.")
    more: int = Field(
        default=0, description="The number of further hits in the same document, if `one_per_document` was set."
    )
    parts: Parts | None = Field(default=None, description="The two parts whose sum is the score, if `explain` was set.")


class Answer(BaseModel):
    """What a search found."""

    query: str
    hits: list[Hit]
    next_offset: int | None = Field(
        description="The `offset` of the next page. Null if there are no more pages: they end with the best hits that "
        "words and vectors found, at most 200."
    )
    incomplete: bool = Field(
        description="Whether hits may be missing because documents were changing faster than the search could follow."
    )
    rounds: int = Field(description="The number of times the index was queried.")
    dropped: int = Field(
        description="The number of hits that were left out because their generation was replaced or deleted."
    )
