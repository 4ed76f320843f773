"""Put a file into the S3 drop folder, and wait until a search of its source finds it.

Any S3 client can do the same: the key is all that counts.

    PENSTOCK_URL=… PENSTOCK_API_KEY=… PENSTOCK_BUCKET=… python examples/drop_folder.py FILE [TENANT]
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import boto3
import httpx

SOURCE = "dropped-by-example"
ENDED = {"indexed", "partial", "no_text", "failed"}


def main(path: Path, tenant: str) -> None:
    bucket = os.environ["PENSTOCK_BUCKET"]
    key = f"drop/{tenant}/{SOURCE}/{path.name}"
    boto3.client("s3").upload_file(str(path), bucket, key)
    print(f"s3://{bucket}/{key}")

    headers = {"Authorization": f"Bearer {os.environ['PENSTOCK_API_KEY']}"}
    with httpx.Client(base_url=os.environ["PENSTOCK_URL"], headers=headers, timeout=60) as api:
        while not (documents := ended(api, path.name)):
            time.sleep(0.5)
    for each in documents:
        print(f"{each['document_id']}: {each['status']}")


def ended(api: httpx.Client, name: str) -> list[dict[str, str]]:
    """The documents of this name that have come to an end. There is none until the S3 event has arrived."""
    listed = api.get("/v1/documents", params={"source": SOURCE})
    listed.raise_for_status()
    return [each for each in listed.json()["documents"] if each["name"] == name and each["status"] in ENDED]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "local")
