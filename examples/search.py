"""Ask a question, and print each hit with its document and page.

PENSTOCK_URL=… PENSTOCK_API_KEY=… python examples/search.py QUESTION
"""

from __future__ import annotations

import os
import sys

import httpx


def main(question: str) -> None:
    headers = {"Authorization": f"Bearer {os.environ['PENSTOCK_API_KEY']}"}
    with httpx.Client(base_url=os.environ["PENSTOCK_URL"], headers=headers, timeout=60) as api:
        answer = api.get("/v1/search", params={"q": question, "limit": 3})
    answer.raise_for_status()
    for hit in answer.json()["hits"]:
        page = f", page {hit['page']}" if hit["page"] else ""
        print(f"{hit['score']:.2f}  {hit['name']}{page}: {hit['snippet']}")


if __name__ == "__main__":
    main(sys.argv[1])
