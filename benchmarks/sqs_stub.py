"""An SQS in memory, as fast as one Python process can be, so that a worker's own speed can be measured.

It speaks the part of SQS's JSON protocol that workers use, implements visibility timeouts, and reports when the first
message of a queue was received and when the last one was deleted. As a program, it prints its address and serves until
it is stopped.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass
class Queue:
    """A queue: its visible and hidden messages, and an event for receivers that wait."""

    visible: deque[tuple[str, str]] = field(default_factory=deque)
    hidden: dict[str, tuple[str, str, float]] = field(default_factory=dict)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    requests: int = 0
    deleted: int = 0
    first_received: float = 0
    last_deleted: float = 0

    def put(self, ident: str, body: str) -> None:
        self.visible.append((ident, body))
        self.arrived.set()

    def expire(self) -> None:
        now = time.monotonic()
        for handle in [handle for handle, (_, _, until) in self.hidden.items() if until <= now]:
            ident, body, _ = self.hidden.pop(handle)
            self.put(ident, body)

    def take(self, most: int, visibility: float) -> list[dict[str, Any]]:
        self.expire()
        taken = []
        now = time.monotonic()
        while self.visible and len(taken) < most:
            ident, body = self.visible.popleft()
            handle = uuid.uuid4().hex
            self.hidden[handle] = (ident, body, now + visibility)
            taken.append(
                {
                    "MessageId": ident,
                    "ReceiptHandle": handle,
                    "Body": body,
                    "Attributes": {"ApproximateReceiveCount": "1"},
                }
            )
        if taken and not self.first_received:
            self.first_received = now
        if not self.visible:
            self.arrived.clear()
        return taken

    def delete(self, handle: str) -> None:
        if self.hidden.pop(handle, None):
            self.deleted += 1
            self.last_deleted = time.monotonic()

    def show(self, handle: str, seconds: float) -> None:
        if handle in self.hidden:
            ident, body, _ = self.hidden[handle]
            self.hidden[handle] = (ident, body, time.monotonic() + seconds)
            self.expire()


_CALLS: dict[str, Callable[[Queue, dict[str, Any]], None]] = {
    "SendMessage": lambda queue, entry: queue.put(uuid.uuid4().hex, entry["MessageBody"]),
    "DeleteMessage": lambda queue, entry: queue.delete(entry["ReceiptHandle"]),
    "ChangeMessageVisibility": lambda queue, entry: queue.show(entry["ReceiptHandle"], entry["VisibilityTimeout"]),
}


class Stub:
    """The queues. Each is created when it is first named."""

    def __init__(self) -> None:
        self.queues: dict[str, Queue] = {}

    def queue(self, url: str) -> Queue:
        return self.queues.setdefault(url.rsplit("/", 1)[-1], Queue())

    async def answer(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        queue = self.queue(request["QueueUrl"])
        if operation == "Stub.Stats":
            return self._stats(queue)
        queue.requests += 1
        if operation == "ReceiveMessage":
            return await self._receive(queue, request)
        if operation == "GetQueueAttributes":
            return {"Attributes": {"ApproximateNumberOfMessages": str(len(queue.visible))}}
        entries = request.get("Entries", [request])
        for entry in entries:
            _CALLS[operation.removesuffix("Batch")](queue, entry)
        return {"Successful": [{"Id": entry["Id"]} for entry in entries]} if "Entries" in request else {}

    def _stats(self, queue: Queue) -> dict[str, Any]:
        requests = [each.requests for each in self.queues.values() if each.requests]
        seconds = queue.last_deleted - queue.first_received
        return {"deleted": queue.deleted, "seconds": seconds, "queues": len(requests), "asked": sum(requests)}

    async def _receive(self, queue: Queue, request: dict[str, Any]) -> dict[str, Any]:
        most, visibility = request.get("MaxNumberOfMessages", 1), request.get("VisibilityTimeout", 30)
        end = time.monotonic() + request.get("WaitTimeSeconds", 0)
        while not (taken := queue.take(most, visibility)):
            left = end - time.monotonic()
            if left <= 0:
                return {}
            try:
                await asyncio.wait_for(queue.arrived.wait(), left)
            except TimeoutError:
                continue
        return {"Messages": taken}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
                headers = {name.lower(): value for name, value in headers.items()}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                operation = headers["x-amz-target"].removeprefix("AmazonSQS.")
                content = orjson.dumps(await self.answer(operation, orjson.loads(body)))
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n%b"
                    % (len(content), content)
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def main() -> None:
    server = await asyncio.start_server(Stub().serve, "127.0.0.1", 0, limit=1 << 20)
    print(json.dumps(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
