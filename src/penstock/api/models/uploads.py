"""Models of POST /v1/uploads: what is announced, and where the file is to be sent."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from penstock.api.fields import DocumentIdText, LaneField, Metadata, Source
from penstock.domain.task import Lane


class Announcement(BaseModel):
    """What is known about a file before it is sent."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=1024, description="The file's name.")]
    size: Annotated[int, Field(ge=1, description="The size in bytes. S3 accepts a file of exactly this size.")]
    content_type: Annotated[
        str | None,
        Field(max_length=255, description="The media type. If it is left out, it follows from the file's name."),
    ] = None
    sha256: Annotated[
        str | None,
        Field(
            pattern=r"^[0-9a-f]{64}$",
            description="The SHA-256 hash of the bytes, in hexadecimal. If it is given, S3 accepts no other bytes, and "
            "the document gets the same id that POST /v1/documents would give to these bytes.",
        ),
    ] = None
    document_id: Annotated[
        DocumentIdText | None,
        Field(
            description="The id that the document gets. If a document has this id already, the new bytes become its "
            "newest generation."
        ),
    ] = None
    source: Source = "api"
    lane: LaneField = Lane.STANDARD
    metadata: Annotated[Metadata, Field(description="Strings by name: at most 20 entries, and 1,500 bytes in all.")] = (
        Field(default_factory=dict)
    )


class Announced(BaseModel):
    """Where, how and until when a file can be sent. Whoever has this answer can send the file."""

    upload_id: str = Field(description="The id of the announced upload.")
    document_id: str = Field(description="The id of the document that the file will become.")
    url: str = Field(description="The address to which to post a multipart form.")
    fields: dict[str, str] = Field(
        description="The fields of that form, to be sent unchanged. The file goes last, as the field `file`."
    )
    expires_at: datetime = Field(description="The time after which S3 no longer accepts the file.")
    task_id: str = Field(description="The task that makes the document searchable.")
    status_url: str = Field(description="The address at which to poll the task.")
