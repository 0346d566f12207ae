"""How many events a webhook would have got: by its entries, of its tenant, within the window and the bound."""

from __future__ import annotations

import time

import pytest

from hookpost_server.domain import ids
from hookpost_server.store import event_counts as module
from hookpost_server.store.database import Database
from hookpost_server.store.event_counts import EventCount, EventCounts
from hookpost_server.store.events import Events
from hookpost_server.store.missed import Missed

from . import making


@pytest.mark.parametrize(
    ("entries", "matching"),
    [
        (["User.Created"], 2),
        (["User.*"], 3),
        (["Role.*", "User.Deleted"], 2),
        (["*"], 4),
        (["hookpost.*"], 1),
        (["*", "hookpost.webhook.suspended"], 5),
        (["Us"], 0),
        ([], 0),
    ],
)
async def test_by_entries(database: Database, events: Events, entries: list[str], matching: int) -> None:
    """`*` does not stand for Hookpost's own events, here as everywhere."""
    kinds = ("User.Created", "User.Created", "User.Deleted", "Role.Created", "hookpost.webhook.suspended")
    await making.queue(events, *(making.event(kind) for kind in kinds))
    await making.queue(events, making.event(tenant_id="other"))
    counted = await EventCounts(database).matching(making.TENANT, Missed.of(entries))
    assert counted == EventCount(matching, 5, complete=True)


async def test_within_the_window_and_the_bound(
    database: Database, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = EventCounts(database)
    earlier = ids.first_of(time.time() - 7200)
    await making.queue(events, making.event(id=earlier), making.event(), making.event())
    assert await counts.matching(making.TENANT, Missed.of(["*"]), 3600) == EventCount(2, 2, complete=True)
    assert await counts.matching(making.TENANT, Missed.of(["*"])) == EventCount(3, 3, complete=True)
    monkeypatch.setattr(module, "MOST", 2)
    assert await counts.matching(making.TENANT, Missed.of(["*"])) == EventCount(2, 2, complete=False)
