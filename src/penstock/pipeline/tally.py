"""The tally of a reading: its pages are counted on their way from the reader to the splitter, for the receipt."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import InitVar, dataclass, field
from datetime import timedelta

from penstock.documents.archive_members import MemberReceiver
from penstock.domain.chunk import Page
from penstock.domain.errors import TooLarge, Transient, Unreadable
from penstock.domain.page_ranges import numbers, ranges
from penstock.domain.receipt import Receipt
from penstock.ports import Member, Reading
from penstock.reading.text.characters import label
from penstock.records.document_lease import DocumentLease
from penstock.services import Services

log = logging.getLogger(__name__)

_REPORT_EVERY = timedelta(seconds=0.4)
_WARNINGS = 10
"""The maximum number of warnings in a receipt."""


class ProgressReporter:
    """Writes into the record how many pages were read, but so seldom that a file which is read at once costs none."""

    def __init__(self, services: Services, claim: DocumentLease) -> None:
        self._services, self._claim = services, claim
        self._reported = services.clock()

    def report(self, pages_read: int, pages: int) -> None:
        now = self._services.clock()
        if now - self._reported >= _REPORT_EVERY:
            self._reported = now
            try:
                self._claim.report_progress(self._services, pages_read, pages)
            except Transient as error:
                log.warning("progress not reported: %s", error)


@dataclass(slots=True)
class Tally:
    """Counts the pages of a reading, or the members of an archive. Iterating over it yields the pages."""

    reading: Reading
    reporter: ProgressReporter | None
    """None once a build reports the progress: from the second shard on."""
    known: InitVar[Receipt | None] = None
    """What runs before this one counted, up to the last checkpoint."""
    pages: int = 0
    blank: list[int] = field(default_factory=list)
    """The numbers of the pages without text."""
    damaged: list[int] = field(default_factory=list)
    """The numbers of the pages that could not be read."""
    warnings: tuple[str, ...] = ()
    problem: str = ""
    """Why the first of the damaged pages could not be read."""
    members: int = 0

    def __post_init__(self, known: Receipt | None) -> None:
        if known is not None:
            self.pages, self.warnings = known.pages, known.warnings
            self.blank, self.damaged = numbers(known.pages_without_text), numbers(known.pages_damaged)

    def __iter__(self) -> Iterator[Page]:
        for page in self.reading:
            if page.number > self.pages:  # a page up to the checkpoint was counted by the run before
                self._count(page)
            yield page
            self._report()

    def receive(self, member: Member, receiver: MemberReceiver) -> None:
        """Receive a member of an archive as a document, and count it. One that is too large is counted as damaged.

        Raises:
            Fenced, Checkpointed, OutOfTime, Transient: as for `MemberReceiver.receive`.
        """
        self._report()
        self.pages += 1
        try:
            receiver.receive(member)
        except TooLarge as error:
            problem = f"{label('/'.join(member.path))}: {error}"
            self._add_damaged(Page(member.number, "", problem=problem))
            self.warnings = (*self.warnings[:_WARNINGS], problem)
        else:
            self.members += 1

    def receipt(self) -> Receipt:
        """The receipt as far as reading knows it: chunks and vectors are added later.

        Raises:
            Unreadable: there are pages, and none of them could be read.
        """
        if self.pages and len(self.damaged) == self.pages:
            raise Unreadable(kind=self.reading.kind, why=self.problem)
        return Receipt(
            kind=self.reading.kind,
            engine=self.reading.engine,
            paged=self.reading.paged,
            pages=self.pages,
            pages_with_text=self.pages - len(self.blank) - len(self.damaged),
            pages_without_text=ranges(self.blank),
            pages_damaged=ranges(self.damaged),
            members=self.members,
            warnings=self._all_warnings(),
        )

    def _report(self) -> None:
        if self.reporter is not None:
            self.reporter.report(self.pages, self.reading.pages)

    def _count(self, page: Page) -> None:
        self.pages += 1
        if page.problem is not None:
            self._add_damaged(page)
        elif not page.text.strip():
            self.blank.append(page.number)

    def _add_damaged(self, page: Page) -> None:
        self.damaged.append(page.number)
        self.problem = self.problem or page.problem or ""

    def _all_warnings(self) -> tuple[str, ...]:
        warnings = tuple(dict.fromkeys((*self.warnings, *self.reading.warnings)))
        if self.members and len(warnings) > _WARNINGS:
            left_out = len(self.blank) + len(self.damaged)
            return (*warnings[: _WARNINGS - 1], f"In all, {left_out} of its {self.pages} files were not taken.")
        return warnings[:_WARNINGS]
