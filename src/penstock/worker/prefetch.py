"""Appetite: how many messages a worker holds at a time."""

from __future__ import annotations

from time import monotonic

from kombu.transport.virtual import QoS

_MOST = 40


class AdaptivePrefetch(QoS):
    """As many as Celery says (`prefetch_count`, the processes times the multiplier), so that none waits for long behind
    slow ones while other workers are idle. More, where so many were done within a second: then none waits for long,
    and a receive request brings ten instead of the one or two that have just been done."""

    _second = 0
    _done = 0
    _done_before = 0

    def ack(self, delivery_tag: str) -> None:
        super().ack(delivery_tag)
        self._turn()
        self._done += 1

    def can_consume(self) -> bool:
        room = self.can_consume_max_estimate()
        if room is None or self._limit() == self.prefetch_count:
            return room is None or room > 0
        return 2 * room >= self._limit()

    def can_consume_max_estimate(self) -> int | None:  # type: ignore[override]  # the stubs forget the None
        """How many more there is room for; None where there is no limit."""
        if not self.prefetch_count:
            return None
        held = len(self._delivered or ()) - len(self._dirty or ())
        return max(0, self._limit() - held)

    def _limit(self) -> int:
        self._turn()
        return max(self.prefetch_count, min(self._done_before, _MOST))

    def _turn(self) -> None:
        second = int(monotonic())
        if second != self._second:
            self._done_before = self._done if second == self._second + 1 else 0
            self._second, self._done = second, 0
