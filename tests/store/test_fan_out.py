"""To how many webhooks events went, by how that stands."""

from __future__ import annotations

import asyncpg

from hookpost_server.domain import ids
from hookpost_server.store.database import Database
from hookpost_server.store.events import Events
from hookpost_server.store.fan_out import FanOut, FanOuts
from hookpost_server.store.webhooks import Webhooks

from . import making


async def test_each_state_is_counted(
    database: Database, webhooks: Webhooks, events: Events, sql: asyncpg.Connection
) -> None:
    for _ in range(5):
        await making.webhook(webhooks)
    first, second = making.event(), making.event()
    await making.queue(events, first, second)
    rows = await sql.fetch("select id from deliveries where event_id = $1 order by id", first.id)
    for row, (state, attempts) in zip(rows, [(1, 0), (1, 2), (2, 1), (3, 4), (4, 0)], strict=True):
        await sql.execute(
            """update deliveries set state = $2, attempt_count = $3,
                finish_time = case when $2::smallint > 1 then now() end
            where id = $1""",
            *(row["id"], state, attempts),
        )
    unknown = ids.new(0)
    found = await FanOuts(database).of(first.tenant_id, [first.id, second.id, unknown])
    assert found == {
        first.id: FanOut(delivered=1, failed=1, retrying=1, waiting=1, cancelled=1),
        second.id: FanOut(waiting=5),
        unknown: FanOut(),
    }
    assert (found[first.id].all, found[unknown].all) == (5, 0)
    assert await FanOuts(database).of("other", [first.id]) == {first.id: FanOut()}
