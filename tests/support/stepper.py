"""Workers that advance one call of a port at a time, in any order a test chooses: races, made to order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import fields
from typing import Any

from penstock.domain.task import Message
from penstock.pipeline.run import Outcome, run
from penstock.services import Services

_PATIENCE = 30  # seconds; a step takes microseconds, so more is a deadlock


class Killed(BaseException):
    """SIGKILL, as far as a thread can feel it: no code of ours catches it."""


class SteppedWorker:
    """Runs one message in a thread that stops before every call of a port, until `step` lets it make that one."""

    def __init__(self, services: Services, message: Message) -> None:
        self.message = message
        self.outcome: Outcome | None = None
        self.error: BaseException | None = None
        self.ended = False
        self._killed = False
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._work, args=(self._slowed(services),), daemon=True)
        self._thread.start()
        self._wait()

    def step(self) -> None:
        """Make the next call, and stop before the one after it."""
        self._go.release()
        self._wait()

    def kill(self) -> None:
        """It makes no further call."""
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

    def _slowed(self, services: Services) -> Services:
        slowed = {"objects", "documents", "queue", "embedder", "index"}
        ports = {field.name: getattr(services, field.name) for field in fields(services)}
        return Services(**{name: _Slow(port, self._pause) if name in slowed else port for name, port in ports.items()})


class _Slow:
    """A port whose every call waits for its turn."""

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
