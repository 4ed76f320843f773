"""Workers that advance one call of a port at a time, in the order that a test chooses, so that it can produce any
race."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import fields
from typing import Any

from penstock.domain.task import Message
from penstock.pipeline.run import Outcome, run
from penstock.services import Services

_PATIENCE = 30  # seconds; a step takes microseconds, so a longer wait is a deadlock


class Killed(BaseException):
    """SIGKILL as a thread can simulate it: no code of Penstock catches this exception."""


class SteppedWorker:
    """Runs one message in a thread that stops before every call of a port until `step` lets it make that call."""

    def __init__(self, services: Services, message: Message) -> None:
        self.message = message
        self.outcome: Outcome | None = None
        self.error: BaseException | None = None
        self.ended = False
        self._killed = False
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._work, args=(self._paused(services),), daemon=True)
        self._thread.start()
        self._wait()

    def step(self) -> None:
        """Let the worker make its next call, and stop before the one after it."""
        self._go.release()
        self._wait()

    def kill(self) -> None:
        """End the worker: it makes no further call."""
        self._killed = True
        while not self.ended:
            self.step()

    def finish(self) -> None:
        while not self.ended:
            self.step()

    def _wait(self) -> None:
        if not self._stopped.acquire(timeout=_PATIENCE):
            raise AssertionError(f"the worker of {self.message} hangs")
        if self.ended:
            self._thread.join(_PATIENCE)

    def _pause(self) -> None:
        self._stopped.release()
        self._go.acquire()
        if self._killed:
            raise Killed

    def _work(self, services: Services) -> None:
        try:
            self.outcome = run(services, self.message, lambda _services, _claim: nullcontext())
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - shown to the test
            self.error = error
        finally:
            self.ended = True
            self._stopped.release()

    def _paused(self, services: Services) -> Services:
        paused = {"objects", "documents", "queue", "embedder", "index"}
        ports = {each.name: getattr(services, each.name) for each in fields(services)}
        return Services(
            **{name: _PausingPort(port, self._pause) if name in paused else port for name, port in ports.items()}
        )


class _PausingPort:
    """A port that pauses before every call."""

    def __init__(self, port: object, pause: Callable[[], None]) -> None:
        self._port, self._pause = port, pause

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not callable(found) or name == "fits":
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._pause()
            return found(*args, **kwargs)

        return call
