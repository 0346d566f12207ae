"""The database goes away and comes back: callers are told in time, nothing acknowledged is lost, nobody restarts us."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from hookpost.v1 import event_service_pb2
from hookpost_server import app
from hookpost_server.embedded import EmbeddedPostgres
from tests.receiver import Receiver
from tests.rpc.serving import Client, config, connected, eventually, refusal, refused, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

DEADLINE = 15.0  # seconds, as a caller sets it; an answer in time is one that is not DEADLINE_EXCEEDED


class Outage:
    """A PostgreSQL of the test's own, whose address stays when it is started again."""

    def __init__(self, directory: Path) -> None:
        self._postgres = EmbeddedPostgres(directory / "postgres", settings={"fsync": "off"})
        self._address = directory / "socket"
        self.url = ""

    async def start(self) -> None:
        url = await self._postgres.start()
        (socket,) = parse_qs(urlsplit(url).query)["host"]
        self._address.unlink(missing_ok=True)
        self._address.symlink_to(socket)
        self.url = url.replace(socket, str(self._address))

    async def stop(self) -> None:
        await self._postgres.stop()

    async def crash(self) -> None:
        """As when its machine fails: no connection is closed in an orderly way, recovery follows."""
        assert self._postgres.pid
        os.kill(self._postgres.pid, signal.SIGQUIT)
        await self._postgres.wait()
        await self._postgres.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database() -> AsyncIterator[Outage]:
    directory = Path(tempfile.mkdtemp(prefix="hookpost-outage-"))
    directory.chmod(0o755)
    outage = Outage(directory)
    await outage.start()
    yield outage
    await outage.stop()
    shutil.rmtree(directory)


async def works_again(client: Client) -> str:
    async def emitted() -> str | None:
        try:
            return (await client.emit()).event_id
        except grpc.aio.AioRpcError as error:
            assert refusal(error).reason == "DATABASE_UNAVAILABLE"
            return None

    return await eventually(emitted)


@pytest.mark.parametrize("end", [Outage.stop, Outage.crash], ids=["stopped", "crashed"])
async def test_away_and_back(database: Outage, receiver: Receiver, end: object) -> None:
    async with serving(config(database.url)) as server, connected(server.address) as client:
        health = health_pb2_grpc.HealthStub(client.channel).Watch(health_pb2.HealthCheckRequest())
        assert (await health.read()).status == health_pb2.HealthCheckResponse.SERVING
        webhook = await client.create(receiver.url)
        receiver.hold()
        under_way = await client.emit()
        await receiver.received(1)

        await end(database)
        receiver.release()  # the outcome can't be written yet
        calls = [
            client.events.EmitEvent(client.emit_request(idempotency_key="k"), timeout=DEADLINE),
            client.events.BatchEmitEvents(
                event_service_pb2.BatchEmitEventsRequest(tenant_id=client.tenant, requests=[client.emit_request()]),
                timeout=DEADLINE,
            ),
            client.webhook(webhook.id),
            client.create(),
            client.event(under_way.event_id),
        ]
        for number, call in enumerate(calls):
            said = await refused(call)
            assert (said.code, said.reason) == (grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")
            assert said.retry_delay
            assert ("may or may not have been accepted" in said.message) == (number < 2), "emits alone leave a doubt"
            assert "postgres" not in said.message.lower().replace("postgresql", "")
        stream = client.events.StreamEmitEvents()
        await stream.write(event_service_pb2.StreamEmitEventsRequest(sequence=1, event=client.emit_request()))
        (result,) = (await stream.read()).results
        assert result.error.code == grpc.StatusCode.UNAVAILABLE.value[0]
        assert result.error.HasField("retry_delay")
        assert (await health.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert not server.task.done()

        await database.start()
        assert await works_again(client)
        await stream.write(event_service_pb2.StreamEmitEventsRequest(sequence=2, event=client.emit_request()))
        (result,) = (await stream.read()).results
        assert result.response.event_id
        assert not (await client.emit(idempotency_key="k")).duplicate
        assert (await health.read()).status == health_pb2.HealthCheckResponse.SERVING
        (entry,) = await client.ended(under_way.event_id)
        assert [attempt.status_code for attempt in entry.attempts] == [200]
        assert [request.event_id for request in receiver.requests].count(under_way.event_id) == 1
        health.cancel()
        stream.cancel()


async def test_the_end_does_not_wait_for_the_database_for_ever(
    database: Outage, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be written is attempted again: the receiver gets it twice, and the entry is one."""
    monkeypatch.setattr(app, "RECORD_TIMEOUT", 0.2)
    async with serving(config(database.url)) as server, connected(server.address) as client:
        await client.create(receiver.url)
        receiver.hold()
        event = (await client.emit()).event_id
        await receiver.received(1)
        await database.stop()
        receiver.release()
        server.stop.set()
        await server.task
    await database.start()
    connection = await asyncpg.connect(database.url)
    await connection.execute("update deliveries set due_at = now() where state = 1")  # the lease's time has passed
    await connection.close()
    async with serving(config(database.url)) as server, connected(server.address) as again:
        again.tenant = client.tenant
        (entry,) = await again.ended(event)
        assert [attempt.number for attempt in entry.attempts] == [1]
        assert {request.delivery_id for request in await receiver.received(2)} == {entry.id}


async def test_connections_that_are_cut_again_and_again(database: Outage, receiver: Receiver) -> None:
    """Every event that was acknowledged is there, once, however often its producer had to repeat the call."""
    async with serving(config(database.url)) as server, connected(server.address) as client:
        await client.create(receiver.url)
        acknowledged: dict[str, set[str]] = {}

        connection = await asyncpg.connect(database.url)

        async def produce(number: int) -> None:
            async def emitted() -> str | None:
                try:
                    request = client.emit_request(idempotency_key=f"k{number}")
                    return (await client.events.EmitEvent(request, timeout=DEADLINE)).event_id
                except grpc.aio.AioRpcError as error:
                    assert refusal(error).reason == "DATABASE_UNAVAILABLE"
                    return None

            for _ in range(2):  # the second time it is a duplicate
                acknowledged.setdefault(f"k{number}", set()).add(await eventually(emitted))

        for start in range(0, 200, 20):
            async with asyncio.TaskGroup() as group:
                for number in range(start, start + 20):
                    group.create_task(produce(number))
                for _ in range(3):
                    await connection.execute(
                        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'hookpost'"
                    )
        # What was claimed when a connection broke is nobody's until its lease ends: let that time pass.
        await connection.execute("update deliveries set due_at = now() where state = 1")
        await connection.close()

        assert all(len(ids) == 1 for ids in acknowledged.values())
        events = {id for ids in acknowledged.values() for id in ids}
        request = event_service_pb2.ListEventsRequest(tenant_id=client.tenant, page_size=1000)
        listed = [event.id for event in (await client.events.ListEvents(request)).events]
        assert sorted(listed) == sorted(events)
        for event in events:
            (entry,) = await client.ended(event)
            assert [attempt.number for attempt in entry.attempts] == list(range(1, len(entry.attempts) + 1))
            assert entry.attempts[-1].status_code == 200
        assert {request.event_id for request in receiver.requests} == events
        assert not server.task.done()
