"""Every damaged, odd or hostile PDF of the public corpus ends within its limits, with text or a named reason."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from penstock.domain.errors import Permanent
from penstock.reading.limits import ReadLimits
from penstock.reading.sandbox.reader import ChildReader
from tests.support.paths import ROOT

CORPUS = Path(os.environ.get("PENSTOCK_CORPUS", ROOT.parent / "shared" / "corpus"))
SECONDS = 60


def test_every_file_of_the_corpus_ends_with_text_or_a_named_reason(
    record_testsuite_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """At most one file is lost of those in which either library finds text."""
    files = sorted((CORPUS / "pdf").glob("*.pdf"))
    if not files:
        pytest.skip(f"the public test PDFs are not at {CORPUS}; PENSTOCK_CORPUS names the folder that holds pdf/")
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        outcomes = dict(zip(files, pool.map(outcome, files), strict=True))
    seconds = time.monotonic() - began
    lost = [path.name for path, ended in outcomes.items() if ended != "text" and has_text(path)]
    counts = Counter(outcomes.values())
    record_testsuite_property("corpus", dict(counts))
    with capsys.disabled():
        print(f"\n{len(files)} PDFs in {seconds:.0f} s: {dict(counts.most_common())}; lost: {lost or 'none'}")
    assert set(counts) <= {"text", "no text", "unreadable", "password_required", "limit_hit", "reader_died"}
    assert len(lost) <= 1


def outcome(path: Path) -> str:
    """`text`, `no text`, or the code of the error. Any other exception fails the test."""
    reader = ChildReader(ReadLimits(seconds=SECONDS))
    try:
        with reader.read(path, name=path.name, declared="application/pdf") as reading:
            texts = [page.text for page in reading]
    except Permanent as error:
        return error.code
    assert len(texts) >= reading.pages, "those of files that are attached come behind them"
    return "text" if any(text.strip() for text in texts) else "no text"


def has_text(path: Path) -> bool:
    """Whether either library, called directly, finds text where the reader found none."""
    return any(bare(path) for bare in (_by_pdfium, _by_pypdf))


def _by_pdfium(path: Path) -> bool:
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(path)
        return any(page.get_textpage().get_text_range().strip() for page in document)
    except pypdfium2.PdfiumError:
        return False


def _by_pypdf(path: Path) -> bool:
    import pypdf

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        return any(page.extract_text().strip() for page in pypdf.PdfReader(path).pages)
    except Exception:  # noqa: BLE001 - whatever it raises, it has found nothing
        return False
