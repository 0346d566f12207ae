"""The cheapest honest receiver: answers 200 and remembers which event ids came when.

A process of its own: `python -m tests.bench.receiver` prints its port; a line on standard input makes it print what it
got since the line before, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Receiver(asyncio.Protocol):
    """HTTP/1.1 with keep-alive and Content-Length, as Hookpost and aiohttp send it."""

    seen: dict[bytes, int] = {}  # noqa: RUF012  event id → requests
    latencies: list[int] = []  # noqa: RUF012  microseconds from `t0` in the payload to here

    def __init__(self) -> None:
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            start = head.find(b"content-length: ") + 16
            line_end = head.find(b"\r\n", start)
            length = int(head[start : None if line_end < 0 else line_end])
            if len(self._data) < end + 4 + length:
                return
            body = self._data[end + 4 : end + 4 + length]
            self._data = self._data[end + 4 + length :]
            self._note(head, body)
            self._transport.write(ANSWER)

    def _note(self, head: bytes, body: bytes) -> None:
        start = head.find(b"webhook-id: ") + 12
        identity = head[start : start + 30]
        self.seen[identity] = self.seen.get(identity, 0) + 1
        if (start := body.find(b'"t0":')) >= 0:
            sent = int(body[start + 5 : body.index(b",", start)])
            self.latencies.append(time.monotonic_ns() // 1000 - sent)


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Receiver, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while command := (await lines.readline()).strip():
        if command == b"count":
            print(json.dumps(len(Receiver.seen)), flush=True)
            continue
        print(
            json.dumps(
                {
                    "events": len(Receiver.seen),
                    "requests": sum(Receiver.seen.values()),
                    "latencies": sorted(Receiver.latencies),
                }
            ),
            flush=True,
        )
        Receiver.seen.clear()
        Receiver.latencies.clear()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
