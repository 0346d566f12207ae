"""What the gauges read of a server's parts."""

from __future__ import annotations

from collections.abc import Callable

from .config import Config
from .delivery.dispatcher import Dispatcher
from .delivery.recorder import Recorder
from .monitoring.gauges import Readings
from .monitoring.watch import Watch
from .store.database import Database
from .store.group_commit import GroupCommit


def readings(
    config: Config,
    database: Database,
    group_commit: GroupCommit,
    dispatcher: Dispatcher,
    recorder: Recorder,
    watch: Watch,
    database_up: Callable[[], bool],
) -> Readings:
    """Each is asked when somebody scrapes; none waits."""
    return Readings(
        queued_events=lambda: group_commit.queued,
        queued_bytes=lambda: group_commit.queued_bytes,
        max_queued_events=config.max_queued_events,
        handed_off=lambda: dispatcher.load().waiting,
        handed_off_bytes=lambda: dispatcher.load().waiting_bytes,
        max_handed_off=config.max_handed_off,
        in_flight=lambda: dispatcher.in_flight,
        max_in_flight=config.max_in_flight,
        outcomes_waiting=lambda: recorder.waiting,
        breakers=lambda: {
            "closed": dispatcher.load().lanes,
            **{state.value: count for state, count in dispatcher.breakers.items()},
        },
        pool=database.usage,
        database_up=database_up,
        behind=lambda: watch.behind,
    )
