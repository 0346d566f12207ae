"""Deliveries, redeliveries, replays and test sends leave by the same gate: a whole server, by each sender."""

from __future__ import annotations

import pytest

from hookpost.v1 import delivery_pb2
from tests.delivery.wire import receiving
from tests.rpc.serving import config, connected, serving

from .name_server import name_server

REFUSED = delivery_pb2.ATTEMPT_OUTCOME_ADDRESS_REFUSED

pytestmark = pytest.mark.parametrize("sender", ["native", "aiohttp", "curl"])


async def test_c10_no_way_leads_to_a_denied_address(database_url: str, sender: str) -> None:
    async with name_server(lambda name: ["127.0.0.1"]) as names, receiving() as receiver:
        settings = config(database_url, sender=sender, allow_networks=(), name_servers=(names.address,))
        async with serving(settings) as server, connected(server.address) as client:
            webhook = await client.create(f"http://hooks.example.com:{receiver.port}/")
            event = await client.emit()
            (failed,) = await client.ended(event.event_id)
            assert [attempt.outcome for attempt in failed.attempts] == [REFUSED]
            await client.redeliver(failed.id)
            (failed,) = await client.ended(event.event_id)
            assert [attempt.outcome for attempt in failed.attempts] == [REFUSED] * 2
            await client.replay(webhook_id=webhook.id)
            (failed,) = await client.ended(event.event_id)
            assert [attempt.outcome for attempt in failed.attempts] == [REFUSED] * 3
            assert not any("127.0.0.1" in attempt.error_message for attempt in failed.attempts)
            ((_, tested),) = await client.test(webhook.id, "User.Created")
            assert tested.outcome == REFUSED
        assert receiver.connections == 0


async def test_a9_a_server_never_calls_itself(database_url: str, sender: str) -> None:
    settings = config(database_url, sender=sender)
    async with serving(settings) as server, connected(server.address) as client:
        webhook = await client.create(f"http://127.0.0.1:{server.address.port}/")
        (failed,) = await client.ended((await client.emit()).event_id)
        assert [attempt.outcome for attempt in failed.attempts] == [REFUSED]
        ((_, tested),) = await client.test(webhook.id, "User.Created")
        assert tested.outcome == REFUSED
