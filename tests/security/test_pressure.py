"""F11, F18, F19: too many, too slow, too loud; and those who behave are served all the same."""

from __future__ import annotations

import asyncio
import ssl
import time

import asyncpg
import grpc
import pytest

from hookpost.emitter import Emitter
from hookpost.v1 import event_service_pb2, webhook_service_pb2
from hookpost_server.domain import ids
from hookpost_server.rpc import server as rpc_server
from hookpost_server.store.database import Database
from hookpost_server.store.event_types import EventTypes
from hookpost_server.store.events import Emitted, Events, Room
from hookpost_server.store.partitions import Partitions
from hookpost_server.store.webhooks import Webhooks
from tests.keys import RING
from tests.receiver import Receiver
from tests.rpc.serving import Client, Server, config, connected, refusal, refused, serving
from tests.store import making

pytestmark = pytest.mark.asyncio(loop_scope="module")

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
PING = b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + b"\x00" * 8
HEADERS = b"\x00\x00\x01\x01\x04\x00\x00\x00%c\x82"  # a stream's beginning, for a number below 128
RESET = b"\x00\x00\x04\x03\x00\x00\x00\x00%c\x00\x00\x00\x08"


async def ended(server: Server, content: bytes) -> bytes:
    """What the server says to these bytes until it closes the connection."""
    reader, writer = await asyncio.open_connection(server.address.host, server.address.port)
    try:
        async with asyncio.timeout(20):
            writer.write(content)
            said = b""
            try:
                while chunk := await reader.read(65536):
                    said += chunk
            except ConnectionError:
                pass
            return said
    finally:
        writer.close()


NOISE = {
    "text": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "noise": bytes(range(256)) * 64,
    "a frame of 16 MiB": PREFACE + SETTINGS + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
    "a flood of pings": PREFACE + SETTINGS + PING * 20_000,
}


@pytest.mark.parametrize("noise", NOISE)
async def test_f11_noise_ends_its_own_connection(server: Server, client: Client, noise: str) -> None:
    await ended(server, NOISE[noise])
    assert (await client.emit()).event_id


async def test_f11_a_flood_of_pings_is_told_to_calm_down(server: Server) -> None:
    assert b"too_many_pings" in await ended(server, NOISE["a flood of pings"])


async def test_f11_tls_to_a_port_without(server: Server, client: Client) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection(
            server.address.host, server.address.port, ssl=ssl._create_unverified_context(), ssl_handshake_timeout=5
        )
    assert (await client.emit()).event_id


async def test_f11_streams_begun_and_reset_at_once(server: Server, client: Client) -> None:
    """What brought servers down as rapid reset: the others go on."""
    content = PREFACE + SETTINGS + b"".join(
        HEADERS % number + RESET % number for number in range(1, 128, 2)
    )  # fmt: skip
    _, writer = await asyncio.open_connection(server.address.host, server.address.port)
    for _ in range(50):
        writer.write(content)
    assert (await client.emit()).event_id
    writer.close()


async def test_f11_idle_and_slow_connections_hold_nobody_up(server: Server, client: Client) -> None:
    """200 that say nothing or stop in the middle; the good ones are served beside them."""
    connections = await asyncio.gather(
        *(asyncio.open_connection(server.address.host, server.address.port) for _ in range(200))
    )
    for number, (_, writer) in enumerate(connections):
        writer.write(PREFACE[: number % len(PREFACE)])
    async with asyncio.timeout(20):
        for _ in range(20):
            assert (await client.emit()).event_id
    for _, writer in connections:
        writer.close()


async def test_f11_more_calls_than_may_wait(database_url: str) -> None:
    """Each is answered: accepted, or told when to come back; afterwards all is as before."""
    async with serving(config(database_url, max_queued_events=50)) as server, connected(server.address) as client:

        async def told() -> bool:
            try:
                await client.emit()
            except grpc.aio.AioRpcError as error:
                assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
                assert refusal(error).reason == "BACKLOG_FULL"
                assert refusal(error).retry_delay
                return True
            return False

        connection = await asyncpg.connect(database_url)
        async with connection.transaction():  # nothing is committed while this lasts, so the queue fills
            await connection.execute("LOCK TABLE events IN EXCLUSIVE MODE")
            calls = [asyncio.create_task(told()) for _ in range(900)]
            refusals, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED, timeout=20)
            assert refusals
        await connection.close()
        answers = await asyncio.gather(*calls)
        assert not all(answers)
        request = event_service_pb2.ListEventsRequest(tenant_id=client.tenant, page_size=1000)
        stored, pages = 0, True
        while pages:
            answer = await client.events.ListEvents(request)
            stored += len(answer.events)
            request.page_token = answer.next_page_token
            pages = bool(answer.next_page_token)
        assert stored == answers.count(False)
        assert (await client.emit()).event_id


async def test_f18_a_tenant_has_a_bound_of_webhooks(database_url: str) -> None:
    async with serving(config(database_url, max_webhooks=3)) as server, connected(server.address) as client:
        made = [await client.create() for _ in range(3)]
        said = await refused(client.create())
        assert (said.code, said.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED")
        assert "3" in said.message
        async with connected(server.address) as other:
            assert (await other.create()).id  # each tenant has its own
        await client.webhooks.DeleteWebhook(
            webhook_service_pb2.DeleteWebhookRequest(webhook_id=made[0].id, tenant_id=client.tenant)
        )
        assert (await client.create()).id


async def test_f18_an_event_for_10_001_webhooks(database_url: str) -> None:
    """All of its deliveries, in one transaction that is over within 5 s."""
    database = await Database.open(database_url, max_size=2)
    await Partitions(database).make()
    await EventTypes(database).seed()
    first = await making.webhook(Webhooks(database, RING), "acme")
    async with database.connection() as connection:
        columns = await connection.fetchval(
            "select string_agg(quote_ident(column_name), ', ') from information_schema.columns "
            "where table_name = 'webhooks' and column_name not in ('id', 'request_id')"
        )
        new = [ids.new(database.now()) for _ in range(10_000)]
        await connection.execute(
            f"insert into webhooks (id, {columns}) select n, {columns} from webhooks, unnest($1::uuid[]) n", new
        )
        await connection.execute(
            "insert into subscriptions (tenant_id, pattern, webhook_id) select 'acme', '*', unnest($1::uuid[])", new
        )
    event = making.event(tenant_id="acme", idempotency_key="f18")
    async with asyncio.timeout(5):
        accepted = await Events(database, lease=45).emit([event], Room(0))
    assert accepted.results == [Emitted(event.id, 10_001)]
    async with database.connection() as connection:
        assert await connection.fetchval("select count(*) from deliveries where event_id = $1", event.id) == 10_001
        assert await connection.fetchval("select count(*) from deliveries where webhook_id = $1", first.id) == 1
    await database.close()


async def test_f19_a_loop_is_as_fast_as_its_webhook_may_be(client: Client, receiver: Receiver) -> None:
    """A receiver that emits for each request makes a circle; the webhook's rate limit is what bounds it."""
    rate = 5
    await client.create(receiver.url, rate_limit=rate, event_types=["User.Created"])

    async def go_round() -> None:
        seen = 0
        while True:
            await receiver.until(lambda receiver, seen=seen: len(receiver.requests) > seen)
            seen += 1
            await asyncio.gather(client.emit(), client.emit())  # it even grows

    circle = asyncio.create_task(go_round())
    began = time.monotonic()
    await client.emit()
    await receiver.received(12)
    assert len(receiver.requests) <= rate * (time.monotonic() - began) + 2
    circle.cancel()
    await asyncio.gather(circle, return_exceptions=True)


async def test_f11_old_connections_are_closed_and_nothing_is_missed(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lasts is opened again by its client, on a new connection, perhaps to another node."""
    short = [("grpc.max_connection_age_ms", 300), ("grpc.max_connection_age_grace_ms", 100)]
    options = [option for option in rpc_server.OPTIONS if "connection_age" not in option[0]] + short
    monkeypatch.setattr(rpc_server, "OPTIONS", options)
    async with serving(config(database_url)) as server, connected(server.address) as client:
        watch = client.watch()
        await watch.read()
        answered = []
        async with Emitter(client.channel, metadata=()) as emitter:
            while not watch.done() or len(answered) < 20:
                answered.append((await emitter.emit(client.emit_request())).event_id)
        assert await watch.code() == grpc.StatusCode.UNAVAILABLE  # what the command line goes on after
        assert len(set(answered)) == len(answered)
        connection = await asyncpg.connect(database_url)
        assert await connection.fetchval("select count(*) from events") == len(answered)
        await connection.close()
