"""Models of POST /v1/documents: the fields of the form, and what became of each file."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, Json

from penstock.api.fields import DocumentIdText, LaneField, Metadata, Source
from penstock.api.problems import Problem
from penstock.domain.task import Lane


class AddForm(BaseModel):
    """The fields of the form beside its files."""

    model_config = ConfigDict(extra="forbid")

    document_id: Annotated[
        DocumentIdText | None,
        Field(
            description="The id that the document gets; allowed with one file only. If a document has this id already, "
            "the new bytes become its newest generation."
        ),
    ] = None
    source: Source = "api"
    lane: LaneField = Lane.STANDARD
    metadata: Annotated[
        Json[Metadata],
        Field(description="A JSON object whose values are strings: at most 20 entries, and 1,500 bytes in all."),
    ] = Field(default_factory=dict)


class Accepted(BaseModel):
    """A file that was accepted and is kept, and the task to poll."""

    name: str = Field(description="The file's name.")
    document_id: str = Field(description="The id of the document that the file became.")
    task_id: str = Field(description="The task that makes the document searchable.")
    status_url: str = Field(description="The address at which to poll the task.")
    already_here: bool = Field(description="Whether the document had the same bytes already, so that no work is done.")


class Refused(BaseModel):
    """A file that was not accepted, and why."""

    name: str = Field(description="The file's name.")
    problem: Problem = Field(description="Why the file was not accepted.")


class Added(BaseModel):
    """What became of each file, in the order in which they were sent."""

    documents: list[Accepted | Refused]
