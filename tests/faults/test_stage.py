"""What an experiment must be able to show: that a second signal loses nothing, and that a loss would be seen."""

from __future__ import annotations

import signal

import pytest

from .stage import Stage

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]


async def test_a_second_signal_exits_at_once(stage: Stage) -> None:
    node = await stage.start()
    await stage.subscribe(node)
    await stage.receiver.tell(hold=True)
    await stage.produce(node)
    await stage.posted(5)
    node.signal(signal.SIGTERM)
    await node.logged('"server.stopping"')
    node.signal(signal.SIGTERM)
    assert await node.end() == 128 + signal.SIGTERM
    await stage.receiver.tell(hold=False)
    await stage.bury()
    await stage.start(node.address)
    assert (await stage.settle()).broken == []


async def test_what_is_lost_is_found(stage: Stage) -> None:
    """Behind the server's back an event vanishes with its deliveries, and an attempt from the log."""
    node = await stage.start()
    await stage.subscribe(node)
    await stage.produce(node)
    await stage.posted(20)
    await node.stop()
    async with stage.sql() as connection:
        event = await connection.fetchval("delete from events where id in (select id from events limit 1) returning id")
        deliveries = await connection.fetch("delete from deliveries where event_id = $1 returning id", event)
        await connection.execute("delete from attempts where delivery_id = any($1)", [row["id"] for row in deliveries])
        spoiled = "select delivery_id from attempts limit 1"
        await connection.execute(f"delete from attempts where delivery_id in ({spoiled})")
    await stage.start(node.address)
    finding = await stage.settle()
    assert len(finding.verdict.lost) == 1
    assert len(finding.verdict.mismatches) >= 2  # the attempt, and POSTs that nobody knows
    assert len(finding.broken) == 2
