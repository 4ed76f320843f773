"""ODT: known by what it says of itself, wherever it says it."""

from __future__ import annotations

import pytest

from penstock.errors import UnsupportedType
from tests.made import zip_of
from tests.office import frames, kind_of, odt, text_of


def test_an_opendocument_text_is_known_wherever_in_the_archive_it_says_so() -> None:
    members = odt("<text:p>Words.</text:p>")
    content = zip_of(dict(reversed(members.items())))
    assert kind_of(content) == "odt"
    assert text_of(content) == "Words."


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("vnd.oasis.opendocument.spreadsheet", "an OpenDocument spreadsheet (ODS)"),
        ("vnd.oasis.opendocument.presentation-template", "an OpenDocument presentation (ODP)"),
        ("vnd.sun.xml.writer", "an archive of type application/vnd.sun.xml.writer"),
    ],
)
def test_other_opendocument_files_are_refused_by_their_names(kind: str, found: str) -> None:
    """And not taken for archives, each part of them for a document."""
    members = odt("<text:p>Words.</text:p>") | {"mimetype": f"application/{kind}"}
    with pytest.raises(UnsupportedType) as told:
        frames(zip_of(members), "a.odt")
    assert told.value.facts["found"] == found
