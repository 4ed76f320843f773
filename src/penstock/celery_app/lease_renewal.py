"""Renewal: a lease is lengthened while its holder works."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from threading import Event, Thread
from time import monotonic

from penstock.domain.errors import Fenced, Transient
from penstock.records.claim import Claim
from penstock.services import Services

logger = logging.getLogger(__name__)

Renew = Callable[[Services, Claim], None]


def _renew_claim(services: Services, claim: Claim) -> None:
    claim.renew(services)


@contextmanager
def renewing(services: Services, claim: Claim, renew: Renew = _renew_claim, most: float = inf) -> Iterator[None]:
    """Renew the claim's lease every third of its length, in a thread, until the context is left, or so many seconds
    have passed: a process that should have been killed by then holds on to nothing. A lease that is lost ends the
    renewal quietly: the next write of its former holder is refused, and so finds out."""
    over = Event()
    thread = Thread(target=_renew, args=(services, claim, renew, over, monotonic() + most), name="renewal", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _renew(services: Services, claim: Claim, renew: Renew, over: Event, end: float) -> None:
    third = services.limits.lease.total_seconds() / 3
    wait = third
    while not over.wait(wait) and monotonic() < end:
        try:
            renew(services, claim)
        except Fenced:
            logger.info("The lease of %s/%s was lost.", claim.tenant, claim.document.id)
            return
        except Transient as failure:
            logger.warning("The lease of %s/%s was not renewed: %s", claim.tenant, claim.document.id, failure)
            wait = third / 4
        except Exception:
            logger.exception("The lease of %s/%s was not renewed", claim.tenant, claim.document.id)
            wait = third / 4
        else:
            wait = third
