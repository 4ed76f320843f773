"""A Lambda container as a process: `handler(event, context)` for each line on stdin, its answer as a line on stdout."""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module

from tests.support.lambda_events import Invocation


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    sys.stdout = sys.stderr  # where a container's log goes
    for line in sys.stdin:
        asked = json.loads(line)
        handler = import_module(asked["module"]).handler
        print(json.dumps(handler(asked["event"], Invocation(asked["seconds"]))), file=answers)


if __name__ == "__main__":
    main()
