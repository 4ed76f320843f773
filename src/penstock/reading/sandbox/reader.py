"""The reader has a child process open each file, and keeps that child for the next file of the same tenant (I11)."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import Lock

from penstock.domain.errors import Transient
from penstock.domain.ids import TenantId
from penstock.ports import OnMember, Recognizer
from penstock.reading.limits import ReadLimits
from penstock.reading.sandbox.child_process import ChildProcess
from penstock.reading.sandbox.child_reading import ChildReading
from penstock.reading.sandbox.fork_server_process import ForkServerProcess


class ChildReader:
    """A child process reads one file after the other, and only files of one tenant, so that nothing of a tenant is left
    in it for another. It is replaced after a number of files, and after any limit was hit. Children are forked from a
    fork server that has the libraries loaded. Threads may share a reader."""

    def __init__(self, limits: ReadLimits | None = None, recognizer: Recognizer | None = None) -> None:
        """The recognizer is for pages of PDFs that have no text. Without it, such pages come without text."""
        self._limits = limits or ReadLimits()
        self._recognizer = recognizer
        self._lock = Lock()
        self._fork_server: ForkServerProcess | None = None
        self._idle: list[ChildProcess] = []
        """The child that waits for the next file of its tenant, or nothing."""
        weakref.finalize(self, _end_all, self._idle)

    @property
    def fork_server_lives(self) -> bool:
        return self._fork_server is not None and self._fork_server.lives

    @contextmanager
    def read(
        self,
        path: Path,
        *,
        name: str,
        declared: str | None,
        first_page: int = 1,
        tenant: TenantId | None = None,
        on_member: OnMember | None = None,
    ) -> Iterator[ChildReading]:
        """Read a file. If the context is left before all was read, the child is ended, whatever it is doing."""
        child = self._child_for(tenant)
        try:
            child.send(
                {
                    "path": str(path.absolute()),
                    "name": name,
                    "declared": declared,
                    "first_page": first_page,
                    "limits": asdict(self._limits),
                    "pictures": self._recognizer is not None,
                    "apart": on_member is not None,
                }
            )
            yield ChildReading(child, self._recognizer, on_member)
        finally:
            self._keep_or_end(child)

    def _child_for(self, tenant: TenantId | None) -> ChildProcess:
        """The child that waits for this tenant's next file, or a new one.

        Raises:
            Transient: no process can be started.
        """
        with self._lock:
            child = self._idle.pop() if self._idle else None
            if child is not None:
                if child.tenant == tenant and child.ready:
                    return child
                child.end()
            if self._fork_server is None or not self._fork_server.ours or not self._fork_server.lives:
                self._fork_server = ForkServerProcess()
            try:
                return ChildProcess(self._limits, tenant, self._fork_server)
            except OSError as error:  # something ended the fork server just now
                self._fork_server = None
                raise Transient(why="the process that opens files was ended") from error

    def _keep_or_end(self, child: ChildProcess) -> None:
        with self._lock:
            if child.reusable and not self._idle:
                self._idle.append(child)
                return
        child.end()


def _end_all(children: list[ChildProcess]) -> None:
    while children:
        children.pop().end()
