"""The stream-backed emitter against a real server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from hookpost import Emitter, HookpostError
from hookpost.v1 import event_service_pb2, event_service_pb2_grpc
from hookpost.v1.event_service_pb2 import EmitEventRequest, ListEventsRequest
from tests.receiver import receiving
from tests.rpc.serving import Client, config, connected, serving


@pytest.fixture
def unused_address() -> Iterator[str]:
    """A port that is taken and that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def request(n: int, client: Client, **fields: str) -> EmitEventRequest:
    return EmitEventRequest(**{"type": "User.Created", "tenant_id": client.tenant, "json": f'{{"n": {n}}}', **fields})


async def test_many_at_once(database_url: str) -> None:
    async with (
        receiving() as receiver,
        serving(config(database_url)) as server,
        grpc.aio.insecure_channel(str(server.address)) as channel,
        Emitter(channel, window=50) as emitter,
    ):
        client = Client(channel)
        await client.create(receiver.url, max_in_flight=64)
        answers = await asyncio.gather(*(emitter.emit(request(n, client)) for n in range(500)))
        assert len({answer.event_id for answer in answers}) == 500
        assert {answer.delivery_count for answer in answers} == {1}
        received = await receiver.received(500)
        assert {each.event_id for each in received} == {answer.event_id for answer in answers}


async def test_a_refused_event_spares_the_others(database_url: str) -> None:
    async with (
        serving(config(database_url)) as server,
        grpc.aio.insecure_channel(str(server.address)) as channel,
        Emitter(channel) as emitter,
    ):
        client = Client(channel)
        good, unknown, broken = await asyncio.gather(
            emitter.emit(request(1, client)),
            emitter.emit(request(2, client, type="No.Such")),
            emitter.emit(request(3, client, json="{")),
            return_exceptions=True,
        )
        assert not isinstance(good, BaseException)
        assert isinstance(unknown, HookpostError)
        assert (unknown.code, unknown.reason) == (grpc.StatusCode.NOT_FOUND, "EVENT_TYPE_UNKNOWN")
        assert isinstance(broken, HookpostError)
        assert broken.code is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_restart_of_the_server_loses_and_doubles_nothing(database_url: str) -> None:
    settings = config(database_url)
    async with serving(settings) as server:
        address = server.address
        channel = grpc.aio.insecure_channel(str(address))
        client = Client(channel)
        emitter = await Emitter(channel, timeout=60).__aenter__()
        first = await emitter.emit(request(0, client))
        rest = [asyncio.create_task(emitter.emit(request(n, client))) for n in range(1, 300)]
        await asyncio.wait(rest, return_when=asyncio.FIRST_COMPLETED)
    late = asyncio.create_task(emitter.emit(request(300, client)))  # nobody is there
    async with serving(replace(settings, grpc_address=address)):
        answers = [first, *await asyncio.gather(*rest), await late]
        await emitter.close()
        assert len({answer.event_id for answer in answers}) == 301
        async with connected(address) as listing:
            page = ListEventsRequest(tenant_id=client.tenant, page_size=1000)
            assert len((await listing.events.ListEvents(page)).events) == 301
    await channel.close()


async def test_nobody_there(unused_address: str) -> None:
    async with grpc.aio.insecure_channel(unused_address) as channel, Emitter(channel, timeout=0.3) as emitter:
        with pytest.raises(HookpostError, match=r"no answer within 0\.3 s") as caught:
            await emitter.emit(EmitEventRequest(type="User.Created", json="{}"))
        assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert caught.value.idempotency_key, "else nobody could ask whether it was accepted"


class Newer(event_service_pb2_grpc.EventServiceServicer):
    """Refuses every event for a reason that this client has not heard of; `Not.Allowed` ends the stream."""

    async def StreamEmitEvents(self, requests: Any, context: Any) -> Any:
        async for each in requests:
            if each.event.type == "Not.Allowed":
                reason = any_pb2.Any()
                reason.Pack(error_details_pb2.ErrorInfo(reason="SCOPE_MISSING"))
                status = status_pb2.Status(code=grpc.StatusCode.PERMISSION_DENIED.value[0], details=[reason])
                await context.abort_with_status(rpc_status.to_status(status))
            result = event_service_pb2.StreamEmitEventsResult(sequence=each.sequence)
            result.error.MergeFrom(event_service_pb2.EmitEventError(code=9999, reason=9999, message="new"))  # type: ignore[arg-type]
            yield event_service_pb2.StreamEmitEventsResponse(results=[result])


@pytest.fixture
async def newer() -> AsyncIterator[str]:
    server = grpc.aio.server()
    event_service_pb2_grpc.add_EventServiceServicer_to_server(Newer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


async def test_what_a_stream_is_refused_for(newer: str) -> None:
    """Whatever the server says, each event is told of it under its own key, and the emitter goes on."""
    async with grpc.aio.insecure_channel(newer) as channel, Emitter(channel) as emitter:
        for kind, code, reason in (
            ("User.Created", grpc.StatusCode.UNKNOWN, ""),
            ("Not.Allowed", grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"),
            ("User.Created", grpc.StatusCode.UNKNOWN, ""),
        ):
            with pytest.raises(HookpostError) as caught:
                await emitter.emit(EmitEventRequest(type=kind, json="{}", idempotency_key="order-7"))
            assert (caught.value.code, caught.value.reason) == (code, reason)
            assert caught.value.idempotency_key == "order-7"


async def test_a_channel_that_is_closed_ends_what_waits(unused_address: str) -> None:
    channel = grpc.aio.insecure_channel(unused_address)
    async with Emitter(channel) as emitter:
        await channel.close()
        with pytest.raises(HookpostError, match="closed"):
            await emitter.emit(EmitEventRequest(type="User.Created", json="{}"))


@pytest.mark.parametrize("passes", [0, 1, 3])
async def test_closing_tells_who_waits(unused_address: str, passes: int) -> None:
    """For an answer or for room, and even if nothing was begun yet."""
    async with grpc.aio.insecure_channel(unused_address) as channel:
        emitter = await Emitter(channel, window=1).__aenter__()
        request = EmitEventRequest(type="User.Created", json="{}")
        emitting = [asyncio.create_task(emitter.emit(request, timeout=60)) for _ in range(3)]
        for _ in range(passes):
            await asyncio.sleep(0)
        await emitter.close()
        async with asyncio.timeout(10):
            told = await asyncio.gather(*emitting, return_exceptions=True)
        assert all("closed" in str(each) or "not open" in str(each) for each in told), told
        with pytest.raises(RuntimeError, match="not open"):
            await emitter.emit(EmitEventRequest())
