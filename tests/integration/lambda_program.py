"""A Lambda container as a process: it calls `handler(event, context)` for each line on stdin, and prints the answer as
a line on stdout."""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module

from tests.support.lambda_events import Invocation


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    sys.stdout = sys.stderr  # as in a container, the log goes to stderr
    for line in sys.stdin:
        asked = json.loads(line)
        handler = import_module(asked["module"]).handler
        print(json.dumps(handler(asked["event"], Invocation(asked["seconds"]))), file=answers)


if __name__ == "__main__":
    main()
