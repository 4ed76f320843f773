"""About: what a caller may say of a file beside its bytes, and how it is checked."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from penstock.domain.errors import BadRequest
from penstock.domain.ids import document_id

_METADATA_BYTES = 1_500  # the record holds it, and stays under 4 KB


def _well_formed(text: str) -> str:
    try:
        return document_id(text)
    except BadRequest as error:
        raise ValueError(str(error)) from None


def _small(metadata: dict[str, str]) -> dict[str, str]:
    if sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items()) > _METADATA_BYTES:
        raise ValueError(f"should have at most {_METADATA_BYTES} bytes in all")
    return metadata


WellFormed = Annotated[str, AfterValidator(_well_formed)]
"""A document id."""

Source = Annotated[
    str,
    # The pattern does not say how long: a counted repetition of so many letters takes 20 ms to compile.
    Field(
        description="Where it comes from; search and lists can filter by it.", pattern=r"^\w[\w .-]*$", max_length=64
    ),
]

Metadata = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=64)],
        Annotated[str, StringConstraints(max_length=256)],
    ],
    Field(max_length=20),
    AfterValidator(_small),
]
