"""The limits of all stacks of these tests. They are small, so that a test can exceed them."""

from __future__ import annotations

DIRECT_BYTES = 200_000
FILE_BYTES = 3_000_000
SHARD_CHUNKS = 8
ENVIRONMENT = {
    "PENSTOCK_MAX_DIRECT_BYTES": str(DIRECT_BYTES),
    "PENSTOCK_MAX_FILE_BYTES": str(FILE_BYTES),
    "PENSTOCK_SHARD_CHUNKS": str(SHARD_CHUNKS),
}
