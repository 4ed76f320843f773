"""Lease renewal: a thread extends the lease of a claim while its holder works."""

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
    """Renew the claim's lease in a thread, every third of its length, until the context is left.

    The renewal ends after `most` seconds in any case: a process that should have been killed by then keeps no lease. It
    also ends quietly when the lease is lost: its former holder learns of that when its next write is refused.
    """
    done = Event()
    thread = Thread(target=_renew, args=(services, claim, renew, done, monotonic() + most), name="renewal", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _renew(services: Services, claim: Claim, renew: Renew, done: Event, deadline: float) -> None:
    third = services.limits.lease.total_seconds() / 3
    wait = third
    while not done.wait(wait) and monotonic() < deadline:
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
