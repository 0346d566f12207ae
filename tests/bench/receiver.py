"""The receiver for machines without a C compiler: does what `receiver.c` does, at several times the cost."""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
import sys
import time
from pathlib import Path

from .tally import ACCEPTED, MALFORMED, OPEN, Arrival, Tally

ANSWERS = {
    200: b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    500: b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
    503: b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
}
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_IDENTITY = re.compile(rb"\r\nhookpost-delivery: ([^\r]+)", re.IGNORECASE)
_MESSAGE = re.compile(rb"\r\nwebhook-id: ([^\r]+)", re.IGNORECASE)
_NUMBER = re.compile(rb'"n": ?"?(\d+)')


class Peer(asyncio.Protocol):
    """One connection."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._tally.add(ACCEPTED, 1)
        self._tally.add(OPEN, 1)

    def connection_lost(self, error: Exception | None) -> None:
        self._tally.add(OPEN, -1)

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end]
            length = _LENGTH.search(head)
            identity = _IDENTITY.search(head) or _MESSAGE.search(head)
            if not length or not identity:
                self._tally.add(MALFORMED, 1)
                self._transport.close()
                return
            whole = end + 4 + int(length[1])
            if len(self._data) < whole:
                return
            self._answer(head.split(b" ", 2)[1], identity[1], self._data[end + 4 : whole])
            self._data = self._data[whole:]

    def _answer(self, target: bytes, identity: bytes, body: bytes) -> None:
        status = 200
        if target.startswith(b"/hang"):
            status = 0
        elif target.startswith(b"/fail"):
            status = 500
        elif target.startswith(b"/switch") and self._tally.down:
            status = 503
        number = _NUMBER.search(body)
        digest = int.from_bytes(hashlib.blake2b(identity, digest_size=8).digest())
        self._tally.note(Arrival(digest, time.monotonic_ns() // 1000, int(number[1]) if number else 0, status))
        if status:
            self._transport.write(ANSWERS[status])


def address(host: int) -> str:
    """The loopback address of a host: 127.0.0.1, then 127.0.1.1 to 127.0.1.250, 127.0.2.1 …"""
    return f"127.0.{1 + (host - 1) // 250}.{1 + (host - 1) % 250}" if host else "127.0.0.1"


async def listen(tally: Tally, hosts: int, tls: ssl.SSLContext | None) -> int:
    """Listens at all hosts on one port, and returns it."""
    loop = asyncio.get_running_loop()
    first = await loop.create_server(lambda: Peer(tally), address(0), 0, backlog=4096, ssl=tls)
    port = first.sockets[0].getsockname()[1]
    others = [address(host) for host in range(1, hosts)]
    if others:
        await loop.create_server(lambda: Peer(tally), others, port, backlog=4096, ssl=tls)
    return port


async def main(path: str, capacity: str, hosts: str, certificate: str, key: str) -> None:
    tally = Tally(Path(path), int(capacity))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    print(await listen(tally, int(hosts), None), await listen(tally, int(hosts), tls), flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    await lines.read()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(*sys.argv[1:]))
