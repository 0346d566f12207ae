"""Server processes beside each other. What happens when they die is in tests/faults."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.cluster import Cluster
from tests.receiver import Receiver, receiving
from tests.rpc.serving import connected, eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


@pytest.fixture
async def cluster(database_url: str, tmp_path: Path) -> AsyncIterator[Cluster]:
    running = Cluster(database_url, tmp_path)
    yield running
    await running.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


async def test_a_port_that_is_taken(cluster: Cluster) -> None:
    first = await cluster.start()
    second = await cluster.spawn(first.address)
    assert await second.end() == 1
    said = second.log.read_text()
    assert f"{first.address} can't be listened on" in said
    assert "Hint: " in said
    assert "Traceback" not in said
    async with connected(first.address) as client:
        assert (await client.emit()).event_id


async def test_two_servers_share_the_work(cluster: Cluster, receiver: Receiver) -> None:
    """Events come in by one; it keeps few of them, so that the other finds the rest in the database."""
    one, other = await asyncio.gather(cluster.start(max_handed_off="4"), cluster.start())
    async with connected(one.address) as client:
        for _ in range(5):
            await client.create(receiver.url)
        events = await asyncio.gather(*(client.emit() for _ in range(200)))

    async def all_logged() -> bool | None:
        return True if one.attempts + other.attempts == 1000 else None

    await eventually(all_logged, 60)
    assert one.attempts
    assert other.attempts
    posts = Counter((request.event_id, request.delivery_id) for request in receiver.requests)
    assert set(posts.values()) == {1}
    assert Counter(event for event, _ in posts) == {event.event_id: 5 for event in events}
