"""Upload a file, wait until it is searchable, and print its receipt.

PENSTOCK_URL=… PENSTOCK_API_KEY=… python examples/add_and_wait.py FILE
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import httpx

ENDED = {"SUCCESS", "FAILURE", "REVOKED"}


def main(path: Path) -> None:
    headers = {"Authorization": f"Bearer {os.environ['PENSTOCK_API_KEY']}"}
    with httpx.Client(base_url=os.environ["PENSTOCK_URL"], headers=headers, timeout=60) as api:
        with path.open("rb") as file:
            answer = api.post("/v1/documents", files={"files": (path.name, file)}, data={"source": "examples"})
        answer.raise_for_status()
        (added,) = answer.json()["documents"]

        while (task := api.get(f"/v1/tasks/{added['task_id']}").json())["state"] not in ENDED:
            time.sleep(0.5)

        document = api.get(f"/v1/documents/{added['document_id']}").json()
    if task["state"] != "SUCCESS":
        sys.exit(f"{path.name}: {document['status']}: {document['error']}")
    receipt = document["receipt"]
    print(f"{document['document_id']}: {document['status']}, {receipt['pages']} pages, {receipt['chunks']} chunks")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
