"""Where the gauges look: each reading, at the part that knows it."""

from __future__ import annotations

from collections.abc import Callable

from .config import Config
from .engine import Engine
from .monitoring.gauges import Readings
from .monitoring.watch import Watch
from .store.database import Database


def readings(
    config: Config, of: Engine, database: Database, watch: Watch, *, database_up: Callable[[], bool]
) -> Readings:
    """What is read at each scrape."""
    return Readings(
        queued_events=lambda: of.group_commit.queued,
        queued_bytes=lambda: of.group_commit.queued_bytes,
        max_queued_events=config.max_queued_events,
        handed_off=lambda: of.dispatcher.load().waiting,
        handed_off_bytes=lambda: of.dispatcher.load().waiting_bytes,
        max_handed_off=config.max_handed_off,
        in_flight=lambda: of.dispatcher.in_flight,
        max_in_flight=config.max_in_flight,
        outcomes_waiting=lambda: of.recorder.waiting,
        breakers=lambda: {
            "closed": of.dispatcher.load().lanes,
            **{state.value: count for state, count in of.dispatcher.breakers.items()},
        },
        pool=database.usage,
        database_up=database_up,
        unreadable=lambda: of.directory.unreadable,
        behind=lambda: watch.behind,
    )
