"""Models of progress, failure and receipt, which the answers about documents and about tasks share."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from penstock.documents.progress import Progress as ProgressView
from penstock.domain.receipt import Failure as RecordedFailure
from penstock.domain.receipt import Receipt as RecordedReceipt


class Progress(BaseModel):
    """How much of the work is done. A page counts half when it has been read, and whole when the part of the
    document that it belongs to has been indexed."""

    current: int = Field(description="The number of units that are done.")
    total: int | None = Field(description="The number of units in all. Null while it is not known yet.")
    unit: str = Field(
        description="What is counted: `pages`; `parts`, if the format has no pages; `documents`, for a deletion."
    )

    @classmethod
    def of(cls, view: ProgressView) -> Self:
        return cls(current=view.current, total=view.total, unit=view.unit)


class Failure(BaseModel):
    """Why an attempt failed. While the work continues: the error of its last try."""

    code: str = Field(description="The stable name of the error, for programs.")
    message: str = Field(description="The error in words, for people.")
    attempt: int | None = Field(
        description="The number of the try of its stage that failed, counted from 1. Null if it is not known."
    )
    at: datetime | None = Field(description="When the attempt failed. Null if it is not known.")

    @classmethod
    def of(cls, failure: RecordedFailure | None) -> Self | None:
        if failure is None:
            return None
        return cls(code=failure.code, message=failure.message, attempt=failure.attempt or None, at=failure.at)


class Receipt(BaseModel):
    """What went into a document and what came out: pages = with text + without text + damaged; vectors = chunks, unless
    the embedder refused some. Lists of pages and of chunks are written as ranges such as `3,7-9`."""

    kind: str = Field(description="The format that the content turned out to have.")
    engine: str = Field(description="The library that read the file.")
    paged: bool = Field(
        description="Whether the format has pages. If it has none, the page counts are of the parts it was read in."
    )
    pages: int = Field(description="The number of pages.")
    pages_with_text: int = Field(description="The number of pages from which text was read.")
    pages_without_text: str = Field(description="The pages that have no text.")
    pages_damaged: str = Field(description="The pages that could not be read.")
    chunks: int = Field(description="The number of chunks that the text was cut into.")
    vectors: int = Field(description="The number of chunks that have a vector.")
    members: int = Field(
        default=0, description="If the document is an archive: the number of its files that became documents."
    )
    embedded: int = Field(
        description="The number of texts that were sent to the embedder. The vectors of the other texts were known."
    )
    refused: str = Field(description="The chunks that the embedder refused. Search finds them by their words only.")
    warnings: tuple[str, ...] = Field(description="What was unusual about the file but did not stop its reading.")
    explained: str | None = Field(
        description="The key of the stored object that has the complete lists, if they were too long for the record."
    )
    seconds: float = Field(description="The time from the acceptance of the bytes until they were searchable.")

    @classmethod
    def of(cls, receipt: RecordedReceipt | None) -> Self | None:
        return None if receipt is None else cls.model_validate(receipt, from_attributes=True)
