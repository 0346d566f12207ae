"""The receiver: notes every request in a file, one JSON line each, before it answers.

A process of its own, so that its notes survive whatever happens to the server: `python -m tests.faults.receiver FILE`
prints its port. Each line on its standard input changes its ways, e.g. `{"delay": 2.0}`; see `Ways`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import sys
import time
from dataclasses import dataclass


@dataclass
class Ways:
    """How requests are answered: 200 after `delay`, unless told otherwise."""

    delay: float = 0.0  # seconds
    hold: bool = False  # answers wait until this is false again
    fail_one_in: int = 0  # of so many deliveries one has its first attempt answered by 500
    kill: int = 0  # the process that is killed when a request is here in full, before its answer
    kill_after: int = 0  # requests until then
    body: int = 2  # bytes of an answer's body


class Receiver:
    """Notes and answers."""

    def __init__(self, file: int) -> None:
        self._file = file
        self.ways = Ways()
        self.changed = asyncio.Condition()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                _, *rest = head[:-4].split("\r\n")
                headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in rest)}
                body = await reader.readexactly(int(headers["content-length"]))
                status = self._note(headers, body)
                await self._wait()
                text = b"x" * self.ways.body
                writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(text), text))
                await writer.drain()
        writer.transport.abort()

    def _note(self, headers: dict[str, str], body: bytes) -> int:
        delivery, attempt = headers["hookpost-delivery"], int(headers["hookpost-attempt"])
        note = {
            "time": time.time(),
            "event": headers["webhook-id"],
            "delivery": delivery,
            "attempt": attempt,
            "timestamp": int(headers["webhook-timestamp"]),
            "body": hashlib.sha256(body).hexdigest()[:16],
        }
        os.write(self._file, json.dumps(note).encode() + b"\n")
        ways = self.ways
        if ways.kill:
            ways.kill_after -= 1
            if ways.kill_after <= 0:
                os.kill(ways.kill, signal.SIGKILL)
                ways.kill = 0
        chosen = ways.fail_one_in and int(hashlib.sha256(delivery.encode()).hexdigest(), 16) % ways.fail_one_in == 0
        return 500 if chosen and attempt == 1 else 200

    async def _wait(self) -> None:
        if self.ways.delay:
            await asyncio.sleep(self.ways.delay)
        async with self.changed:
            await self.changed.wait_for(lambda: not self.ways.hold)


async def main(path: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    receiver = Receiver(file)
    server = await asyncio.start_server(receiver.accept, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        async with receiver.changed:
            vars(receiver.ways).update(json.loads(line))
            receiver.changed.notify_all()
        print("", flush=True)
    os._exit(0)  # whoever waits for an answer shall not keep it


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
