"""Prefetch: how many messages a worker holds at a time."""

from __future__ import annotations

from time import monotonic

from kombu.transport.virtual import QoS

_MAX_LIMIT = 40


class AdaptivePrefetch(QoS):
    """A prefetch limit that grows with the speed of the tasks.

    It is at least Celery's `prefetch_count` (the number of processes times the multiplier), so that no message waits
    for long behind slow tasks while other workers are idle. If more tasks were done in the last second, the limit is
    their number: no message waits for long then, and a receive request brings ten messages instead of the one or two
    that have just been done.
    """

    _second = 0
    _done_this_second = 0
    _done_last_second = 0

    def ack(self, delivery_tag: str) -> None:
        super().ack(delivery_tag)
        self._update_second()
        self._done_this_second += 1

    def can_consume(self) -> bool:
        free = self.can_consume_max_estimate()
        if free is None or self._limit() == self.prefetch_count:
            return free is None or free > 0
        return 2 * free >= self._limit()

    def can_consume_max_estimate(self) -> int | None:  # type: ignore[override]  # the stubs forget the None
        """How many more messages may be received now. None means that there is no limit."""
        if not self.prefetch_count:
            return None
        held = len(self._delivered or ()) - len(self._dirty or ())
        return max(0, self._limit() - held)

    def _limit(self) -> int:
        self._update_second()
        return max(self.prefetch_count, min(self._done_last_second, _MAX_LIMIT))

    def _update_second(self) -> None:
        second = int(monotonic())
        if second != self._second:
            self._done_last_second = self._done_this_second if second == self._second + 1 else 0
            self._second, self._done_this_second = second, 0
