"""Claim: take, renew and give back the right to work on a stage of a shard."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.document import Document
from penstock.ports import Services
from penstock.task import Message


@dataclass(frozen=True, slots=True)
class Claim:
    """A lease that was taken: what its holder believes in, named in each of its writes."""

    message: Message
    document: Document
    epoch: int


def renew(services: Services, claim: Claim) -> None:
    """Lengthen the lease.

    Raises:
        Fenced: it is no longer this claim's.
        Transient: it could not be said; try again before the lease ends.
    """
    raise NotImplementedError
