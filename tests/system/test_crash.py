"""Server processes that are killed, stopped and doubled under load. Producer, receiver and database survive and bear
witness: nothing acknowledged is lost, each delivery is one entry, and only what was under way may come twice."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import grpc
import pytest

from hookpost.v1 import webhook_pb2
from hookpost_server.config import Address
from hookpost_server.domain import ids
from tests.receiver import Received, Receiver, receiving
from tests.rpc.serving import Client, connected, eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

ANY_PORT = Address("127.0.0.1", 0)
IN_FLIGHT = 16  # a webhook's default
SERVE = [sys.executable, "-m", "hookpost_server.cli.main", "serve"]
QUICKLY = webhook_pb2.RetryPolicy(delays=[{"nanos": 10_000_000}] * 10, jitter=0.0)


@dataclass
class Node:
    """A server process."""

    process: asyncio.subprocess.Process
    address: Address
    log: Path

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()

    @property
    def attempts(self) -> int:
        return self.log.read_text().count('"delivery.attempted"')

    async def logged(self, text: str) -> None:
        async def found() -> bool | None:
            return True if text in self.log.read_text() else None

        await eventually(found)


class Cluster:
    """Starts server processes on one database; at the end none is left."""

    def __init__(self, database_url: str, directory: Path) -> None:
        self.url = database_url
        self._directory = directory
        self._nodes: list[Node] = []
        self._numbers = itertools.count()

    async def spawn(self, address: Address, **settings: str) -> Node:
        """A process that may not be ready yet, or never will be."""
        log = self._directory / f"node-{next(self._numbers)}.log"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("HOOKPOST_")}
        environ = clean | {
            "HOOKPOST_METRICS_ADDRESS": "off",
            "HOOKPOST_DATABASE_URL": self.url,
            "HOOKPOST_GRPC_ADDRESS": str(address),
            "HOOKPOST_ALLOW_HTTP": "true",
            "HOOKPOST_ALLOW_NETWORKS": "127.0.0.0/8",
            "HOOKPOST_POLL_INTERVAL": "0.05",
            "HOOKPOST_LOG_FORMAT": "json",
            **{f"HOOKPOST_{name.upper()}": value for name, value in settings.items()},
        }
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(*SERVE, env=environ, stdout=file, stderr=file)
        node = Node(process, address, log)
        self._nodes.append(node)
        return node

    async def start(self, address: Address = ANY_PORT, **settings: str) -> Node:
        node = await self.spawn(address, **settings)

        async def ready() -> Address | None:
            if said := re.search(r"serves gRPC on (\S+),", node.log.read_text()):
                return Address.parse(said[1])
            assert node.process.returncode is None, node.log.read_text()
            return None

        node.address = await eventually(ready)
        return node

    async def close(self) -> None:
        for node in self._nodes:
            if node.process.returncode is None:
                await node.kill()


class Ledger:
    """What the database says. Read while servers run or after they are gone."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def _set(self, query: str) -> set[str]:
        return {ids.text(ids.DELIVERY, row["id"]) for row in await self._connection.fetch(query)}

    async def claimed(self) -> set[str]:
        """Deliveries that somebody took over and did not end."""
        return await self._set("select id from deliveries where state = 1 and claim_count > 0")

    async def ended(self) -> set[str]:
        return await self._set("select id from deliveries where state <> 1")

    async def due(self) -> set[str]:
        return await self._set("select id from deliveries where state = 1 and due_at <= now()")

    async def let_leases_end(self) -> None:
        """As if the time of the leases had passed. Only honest while no server runs."""
        await self._connection.execute("update deliveries set due_at = now() where state = 1")

    async def quiescence(self) -> None:
        async def nothing_pending() -> bool | None:
            return (
                None
                if await self._connection.fetchval("select exists (select from deliveries where state = 1)")
                else True
            )

        await eventually(nothing_pending, 60)

    async def check(self, acknowledged: set[str], webhooks: int, requests: list[Received]) -> None:
        """I1 to I4: nothing lost, one entry each, attempts without gap, one event id for all POSTs of an entry."""
        events = {ids.text(ids.EVENT, row["id"]) for row in await self._connection.fetch("select id from events")}
        assert acknowledged <= events, "an acknowledged event is not there"
        rows = await self._connection.fetch("select id, event_id, webhook_id, state, attempt_count from deliveries")
        pairs = Counter((row["event_id"], row["webhook_id"]) for row in rows)
        assert set(pairs.values()) <= {1}, "two entries for one event and webhook"
        assert len(rows) == len(events) * webhooks, "an event without its entries"
        assert {row["state"] for row in rows} <= {2}, "a delivery that did not succeed"
        numbers: dict[str, list[int]] = {}
        for row in await self._connection.fetch("select delivery_id, number from attempts order by 1, 2"):
            numbers.setdefault(ids.text(ids.DELIVERY, row["delivery_id"]), []).append(row["number"])
        for row in rows:
            expected = list(range(1, row["attempt_count"] + 1))
            assert numbers.pop(ids.text(ids.DELIVERY, row["id"])) == expected, "attempts with a gap"
        assert not numbers, "attempts without an entry"
        by_delivery: dict[str, set[str]] = {}
        for request in requests:
            by_delivery.setdefault(request.delivery_id, set()).add(request.event_id)
        assert all(len(seen) == 1 for seen in by_delivery.values()), "two event ids in one entry"
        entries = {ids.text(ids.DELIVERY, row["id"]) for row in rows}
        assert by_delivery.keys() == entries, "the receiver did not get all"

    async def attempts(self) -> Counter[str]:
        rows = await self._connection.fetch("select delivery_id from attempts")
        return Counter(ids.text(ids.DELIVERY, row["delivery_id"]) for row in rows)


@pytest.fixture
async def cluster(database_url: str, tmp_path: Path) -> AsyncIterator[Cluster]:
    running = Cluster(database_url, tmp_path)
    yield running
    await running.close()


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Ledger]:
    connection = await asyncpg.connect(database_url)
    yield Ledger(connection)
    await connection.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


class Producer:
    """Emits until told to stop, repeating each event under its key until it is acknowledged."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._stopping = False
        self.acknowledged: set[str] = set()

    def stop(self) -> None:
        self._stopping = True

    async def run(self, name: str) -> None:
        number = 0
        while not self._stopping:
            number += 1
            request = self._client.emit_request(idempotency_key=f"{name}-{number}")
            while True:
                try:
                    answer = await self._client.events.EmitEvent(request, timeout=10)
                except grpc.aio.AioRpcError as error:
                    assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED), error
                    if self._stopping:
                        return
                    await asyncio.sleep(0.01)
                else:
                    self.acknowledged.add(answer.event_id)
                    break


@contextlib.asynccontextmanager
async def producing(client: Client, count: int) -> AsyncIterator[Producer]:
    producer = Producer(client)
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(producer.run(f"p{number}"))
        try:
            yield producer
        finally:
            producer.stop()


def at_least(count: int) -> Callable[[Receiver], bool]:
    return lambda receiver: len(receiver.requests) >= count


async def test_killed_in_the_midst_of_deliveries(cluster: Cluster, ledger: Ledger, receiver: Receiver) -> None:
    node = await cluster.start()
    async with connected(node.address) as client:
        await client.create(receiver.url)
        acknowledged = {(await client.emit()).event_id for _ in range(20)}
        await ledger.quiescence()
        done = await ledger.ended()
        assert len(done) == 20

        receiver.hold()
        acknowledged |= {(await client.emit()).event_id for _ in range(60)}
        await receiver.until(lambda receiver: receiver.waiting == IN_FLIGHT)
        await node.kill()
    under_way = {request.delivery_id for request in receiver.requests} - done
    assert len(under_way) == IN_FLIGHT
    assert len(await ledger.claimed()) == 60
    receiver.release()
    await ledger.let_leases_end()

    await cluster.start()
    await ledger.quiescence()
    await ledger.check(acknowledged, 1, receiver.requests)
    posts = Counter(request.delivery_id for request in receiver.requests)
    assert {delivery for delivery, count in posts.items() if count > 1} == under_way
    assert max(posts.values()) == 2
    assert {request.attempt for request in receiver.requests} == {1}


async def test_told_to_stop_under_load(cluster: Cluster, ledger: Ledger, receiver: Receiver) -> None:
    node = await cluster.start()
    async with connected(node.address) as client:
        await client.create(receiver.url)
        async with producing(client, 4) as producer:
            await receiver.until(at_least(20))
            receiver.hold()
            await receiver.until(lambda receiver: receiver.waiting == IN_FLIGHT)
            under_way = {request.delivery_id for request in receiver.requests[-IN_FLIGHT:]}

            async def more_are_waiting() -> bool | None:
                return True if len(await ledger.claimed()) > 3 * IN_FLIGHT else None

            await eventually(more_are_waiting)
            node.signal(signal.SIGTERM)
            await node.logged('"server.stopping"')
            receiver.release()
            assert await node.process.wait() == 0, node.log.read_text()
    assert '"server.stopped"' in node.log.read_text()
    assert under_way <= await ledger.ended()
    waiting = await ledger.claimed()
    assert len(waiting) > IN_FLIGHT
    assert waiting <= await ledger.due(), "what waits must not wait for the end of a lease"
    posts_before = len(receiver.requests)
    assert posts_before == len(await ledger.ended())

    await cluster.start()
    await ledger.quiescence()
    await ledger.check(producer.acknowledged, 1, receiver.requests)
    assert max(Counter(request.delivery_id for request in receiver.requests).values()) == 1


async def test_a_second_signal_exits_at_once(cluster: Cluster, ledger: Ledger, receiver: Receiver) -> None:
    node = await cluster.start()
    async with connected(node.address) as client:
        await client.create(receiver.url)
        receiver.hold()
        event = (await client.emit()).event_id
        await receiver.received(1)
    node.signal(signal.SIGTERM)
    await node.logged('"server.stopping"')
    node.signal(signal.SIGTERM)
    assert await node.process.wait() == 128 + signal.SIGTERM
    receiver.release()
    await ledger.let_leases_end()
    await cluster.start()
    await ledger.quiescence()
    await ledger.check({event}, 1, receiver.requests)


async def test_a_port_that_is_taken(cluster: Cluster) -> None:
    first = await cluster.start()
    second = await cluster.spawn(first.address)
    assert await second.process.wait() == 1
    said = second.log.read_text()
    assert f"{first.address} can't be listened on" in said
    assert "Hint: " in said
    assert "Traceback" not in said
    async with connected(first.address) as client:
        assert (await client.emit()).event_id


async def test_two_servers_share_the_work(cluster: Cluster, ledger: Ledger, receiver: Receiver) -> None:
    """Events come in by one; it keeps few of them, so that the other finds the rest in the database."""
    one, other = await asyncio.gather(cluster.start(max_handed_off="4"), cluster.start())
    async with connected(one.address) as client:
        for _ in range(5):
            await client.create(receiver.url)
        events = await asyncio.gather(*(client.emit() for _ in range(200)))
    await ledger.quiescence()
    await ledger.check({event.event_id for event in events}, 5, receiver.requests)
    assert max(Counter(request.delivery_id for request in receiver.requests).values()) == 1
    assert set((await ledger.attempts()).values()) == {1}

    async def all_logged() -> bool | None:
        return True if one.attempts + other.attempts == 1000 else None

    await eventually(all_logged)
    assert one.attempts
    assert other.attempts


async def test_killed_again_and_again(cluster: Cluster, ledger: Ledger, receiver: Receiver) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # shown when the test fails
    chance = random.Random(seed)
    # One in five entries needs a second attempt.
    receiver.decide = lambda request: (500 if request.attempt == 1 and request.body[-3] % 5 == 0 else 200, "")
    node = await cluster.start()
    may_repeat: list[set[str]] = []
    async with connected(node.address) as client:
        for _ in range(2):
            await client.create(receiver.url, retry_policy=QUICKLY)
        async with producing(client, 4) as producer:
            for _ in range(5):
                await receiver.until(at_least(len(receiver.requests) + chance.randrange(1, 200)))
                await node.kill()
                may_repeat.append(await ledger.claimed())
                await ledger.let_leases_end()
                node = await cluster.start(node.address)
            enough = len(producer.acknowledged) + 20

            async def going_on() -> bool | None:
                return True if len(producer.acknowledged) >= enough else None

            await eventually(going_on)
        await ledger.quiescence()
    await ledger.check(producer.acknowledged, 2, receiver.requests)
    allowed = Counter(delivery for claimed in may_repeat for delivery in claimed)
    recorded = await ledger.attempts()
    posts = Counter(request.delivery_id for request in receiver.requests)
    for delivery, count in posts.items():
        assert recorded[delivery] <= count <= recorded[delivery] + allowed[delivery], delivery
