"""Raw bytes at the gRPC port, as messages of every method and as the connection itself: the server goes on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from random import Random

import grpc
import pytest

from hookpost.v1 import (
    api_key_service_pb2,
    delivery_service_pb2,
    event_service_pb2,
    event_type_service_pb2,
    webhook_service_pb2,
)
from tests.rpc.conftest import client, module_database_url, server  # noqa: F401
from tests.rpc.serving import Client, Server

from .budget import Budget
from .running import HANG

pytestmark = pytest.mark.asyncio(loop_scope="module")

METHODS = [
    f"/{service.full_name}/{method.name}"
    for module in (
        *(api_key_service_pb2, delivery_service_pb2, event_service_pb2),
        *(event_type_service_pb2, webhook_service_pb2),
    )
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
    if not (method.client_streaming or method.server_streaming)
]
NEVER = {
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def some_bytes(chance: Random) -> bytes:
    """Often with what protobuf means by a field, so that it is not refused at the first byte."""
    fields = [b"\x0a\x03abc", b"\x12\x01\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x08\x96\x01", chance.randbytes(7)]
    parts = [chance.choice(fields) for _ in range(chance.randrange(6))]
    return b"".join(parts)


async def end_of(call: grpc.aio.UnaryUnaryCall[bytes, bytes]) -> grpc.StatusCode:
    with contextlib.suppress(grpc.aio.AioRpcError):
        await call
    return await call.code()


async def test_wire_messages(request: pytest.FixtureRequest, client: Client) -> None:  # noqa: F811
    seconds = Budget.of(request.config).seconds
    chance = Random(time.time_ns() if seconds else 7)
    end = time.monotonic() + seconds
    while True:
        for method in METHODS:
            call = client.channel.unary_unary(method, lambda data: data, lambda data: data)
            data = some_bytes(chance)
            began = time.process_time()  # the server is in this process
            code = await end_of(call(data, timeout=10))
            assert code not in NEVER, (method, data, code)
            assert time.process_time() - began < HANG, (method, data)
        if time.monotonic() >= end:
            return


async def test_wire_connections(request: pytest.FixtureRequest, server: Server, client: Client) -> None:  # noqa: F811
    seconds = Budget.of(request.config).seconds
    chance = Random(time.time_ns() if seconds else 8)
    end = time.monotonic() + seconds
    while True:
        for _ in range(20):
            reader, writer = await asyncio.open_connection(server.address.host, server.address.port)
            with contextlib.suppress(ConnectionError):
                writer.write(chance.choice([b"", PREFACE, b"\x16\x03\x01"]) + chance.randbytes(chance.randrange(300)))
                await writer.drain()
                if chance.random() < 0.5:
                    writer.write_eof()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await reader.read()
            writer.transport.abort()
        assert (await client.emit()).event_id
        if time.monotonic() >= end:
            return
