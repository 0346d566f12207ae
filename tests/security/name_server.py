"""A name server on a free port of this machine, which answers as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import cast

A, CNAME, AAAA = 1, 5, 28
SERVFAIL, NXDOMAIN = 2, 3

Found = Iterable[str] | int | None  # addresses, or "cname=NAME" and what it leads to; an error's code; None: silence
Answer = Callable[[str], Found]


@dataclass
class NameServer(asyncio.DatagramProtocol):
    """Asks `answer` for each name; what it says is never to be remembered (TTL 0)."""

    answer: Answer
    asked: Counter[str] = field(default_factory=Counter)  # questions for IPv4 addresses
    port: int = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, source: tuple[str, int]) -> None:
        name, end = _name(data, 12)
        (kind,) = struct.unpack_from(">H", data, end)
        if kind == A:
            self.asked[name] += 1
        found = self.answer(name)
        if found is not None:
            self._transport.sendto(_reply(data, end + 4, name, kind, found), source)


def _name(data: bytes, at: int) -> tuple[str, int]:
    labels = []
    while length := data[at]:
        labels.append(data[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels).lower(), at + 1


def _encoded(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def _reply(query: bytes, question_end: int, owner: str, kind: int, found: Iterable[str] | int) -> bytes:
    error = found if isinstance(found, int) else 0
    records = []
    for each in [] if isinstance(found, int) else found:
        if each.startswith("cname="):
            target = each.removeprefix("cname=")
            records.append(_record(owner, CNAME, _encoded(target)))
            owner = target
        else:
            address = ipaddress.ip_address(each)
            if kind == (A if address.version == 4 else AAAA):
                records.append(_record(owner, kind, address.packed))
    head = query[:2] + struct.pack(">HHHHH", 0x8180 | error, 1, len(records), 0, 0)
    return head + query[12:question_end] + b"".join(records)


def _record(owner: str, kind: int, data: bytes) -> bytes:
    return _encoded(owner) + struct.pack(">HHIH", kind, 1, 0, len(data)) + data


@contextlib.asynccontextmanager
async def name_server(answer: Answer) -> AsyncIterator[NameServer]:
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: NameServer(answer), local_addr=("127.0.0.1", 0)
    )
    server.port = transport.get_extra_info("sockname")[1]
    try:
        yield server
    finally:
        transport.close()
