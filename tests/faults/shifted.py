"""Any program of this environment, in a process whose clock is wrong by so many seconds; SIGUSR1 puts it right.

python -m tests.faults.shifted SECONDS MODULE [ARGUMENT ...]
"""

from __future__ import annotations

import runpy
import signal
import sys
import time

import time_machine

RIGHT = "the clock is put right"
"""What it says then."""


def main(seconds: float, module: str, arguments: list[str]) -> None:
    """The wall clock alone: what measures by the monotonic one goes on as before."""
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
