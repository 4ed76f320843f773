"""Markdown: which lines are headings, and of which sections."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.reading.formats.markdown import Outline, read
from penstock.reading.protocol import PART, Text
from penstock.reading.source import Source


def headings(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """The line at which each section starts, and the section's path."""
    return [(text[offset:].partition("\n")[0], path) for offset, path in Outline().sections(text)]


def test_headings_of_both_kinds_nest() -> None:
    text = "Guide\n=====\n\nIntro.\n\nGates\n-----\ntext\n### Sluice ###\ntext\n## Turbine\n# Other\n"
    assert headings(text) == [
        ("Guide", ("Guide",)),
        ("Gates", ("Guide", "Gates")),
        ("### Sluice ###", ("Guide", "Gates", "Sluice")),
        ("## Turbine", ("Guide", "Turbine")),
        ("# Other", ("Other",)),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "```\n# comment\n```\n",
        "~~~ sh\n# comment\n```\n# still\n~~~\n",
        "````\n```\n# still code\n````\n",
        "```\n# never closed\n",
        "    # indented code\n",
        "#hashtag\n",
        "####### seven\n",
        "---\ntitle: metadata\n---\n",
        "- ```\n  # in an item's code\n  ```\n",
        "<!--\n# hidden\n-->\n",
        "<!-- never closed\n# hidden\n",
        "text\n\n---\n",
        "- item\n---\n",
        "> quote\n---\n",
        "| a | b |\n|---|---|\n",
    ],
)
def test_what_only_looks_like_a_heading_is_none(text: str) -> None:
    assert headings(text) == []


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("# The `gate` and the **wheel**", "The gate and the wheel"),
        ("# See [the guide](http://example.org/a) ##", "See the guide"),
        ("# Gates [![build](http://example.org/b.svg)](http://example.org/b)", "Gates build"),
        ("# C#", "C#"),
        ("#", ""),
        ("  ## \t Indented", "Indented"),
    ],
)
def test_a_title_is_plain_text(line: str, title: str) -> None:
    assert headings(line + "\n") == [(line, (title,))]


def test_a_heading_after_the_code_is_one() -> None:
    assert headings("```\n# no\n```\n# yes\n") == [("# yes", ("yes",))]


def test_a_heading_after_a_list_of_code_or_a_comment_is_one() -> None:
    text = "1. ```\n   # no\n   ```\n<!-- one line -->\n# yes\n<!--\n-->\n# too\n"
    assert headings(text) == [("# yes", ("yes",)), ("# too", ("too",))]


def test_a_section_goes_on_in_the_next_part(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("# Long\n\n" + "A line of it.\n" * (PART // 10) + "## End\n")
    parts = [frame for frame in read(Source(path)) if isinstance(frame, Text)]
    assert [part.sections[0] for part in parts] == [(0, ("Long",))] * len(parts)
    assert parts[-1].sections[-1] == (len(parts[-1].text) - len("## End\n"), ("Long", "End"))


@pytest.mark.parametrize("line", ["# " + " " * PART + "x", "# " + "[" * PART, "`" * PART + "x`", "#" * PART])
def test_an_absurd_line_takes_no_absurd_time(line: str) -> None:
    """In each of these lines, a careless pattern would look at the rest of the line from each character."""
    assert len(headings(line)) <= 1
