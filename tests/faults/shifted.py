"""Run a program of this environment in a process whose clock is off by a number of seconds. SIGUSR1 corrects the clock.

python -m tests.faults.shifted SECONDS MODULE [ARGUMENT ...]
"""

from __future__ import annotations

import runpy
import signal
import sys
import time

import time_machine

RIGHT = "the clock is put right"
"""The line that is printed when the clock is corrected."""


def main(seconds: float, module: str, arguments: list[str]) -> None:
    """Run the program. Only the wall clock is shifted; the monotonic clock is right."""
    wrong = time_machine.travel(time.time() + seconds)
    wrong.start()

    def put_right(*_: object) -> None:
        wrong.stop()
        print(RIGHT, flush=True)

    signal.signal(signal.SIGUSR1, put_right)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2], sys.argv[3:])
