"""Fields that a caller may send along with a file, and how they are checked."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from penstock.domain.errors import BadRequest
from penstock.domain.ids import document_id
from penstock.domain.task import Lane

MAX_SOURCE_CHARS = 64
SOURCE_PATTERN = r"^\w[\w .-]*$"
_METADATA_BYTES = 1_500  # the metadata is stored in the document's record, which has to stay under 4 KB


def _checked_id(text: str) -> str:
    try:
        return document_id(text)
    except BadRequest as error:
        raise ValueError(str(error)) from None


def _check_size(metadata: dict[str, str]) -> dict[str, str]:
    if sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items()) > _METADATA_BYTES:
        raise ValueError(f"should have at most {_METADATA_BYTES} bytes in all")
    return metadata


DocumentIdText = Annotated[str, AfterValidator(_checked_id)]
"""A well-formed document id."""

Source = Annotated[
    str,
    # The pattern leaves out the length: a counted repetition of that many characters takes 20 ms to compile.
    Field(
        description="Where the document comes from. Search and lists can filter by it.",
        pattern=SOURCE_PATTERN,
        max_length=MAX_SOURCE_CHARS,
    ),
]

LaneField = Annotated[
    Lane, Field(description="The priority. Each lane has its own capacity, so a full lane does not delay the others.")
]

Metadata = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=64)],
        Annotated[str, StringConstraints(max_length=256)],
    ],
    Field(max_length=20),
    AfterValidator(_check_size),
]
