"""What is read at the moment of a scrape: how full each bounded queue is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ..store.backlog import Behind
from ..store.database import Usage
from .instruments import Gauge


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Where the gauges look. app.py, which knows all parts, fills it in."""

    queued_events: Callable[[], int]
    queued_bytes: Callable[[], int]
    max_queued_events: int
    handed_off: Callable[[], int]
    handed_off_bytes: Callable[[], int]
    max_handed_off: int
    in_flight: Callable[[], int]
    max_in_flight: int
    outcomes_waiting: Callable[[], int]
    breakers: Callable[[], Mapping[str, int]]
    pool: Callable[[], Usage]
    database_up: Callable[[], bool]
    unreadable: Callable[[], int]
    behind: Callable[[], Behind | None]


def gauges(of: Readings) -> Iterable[Gauge]:
    """One gauge for each reading, and one for each bound that an alert compares with."""

    def connections() -> Mapping[tuple[str, ...], float]:
        usage = of.pool()
        return {("idle",): usage.idle, ("used",): usage.used}

    def due() -> float | None:
        return None if (behind := of.behind()) is None else behind.due

    def oldest() -> float | None:
        return None if (behind := of.behind()) is None else behind.oldest

    yield Gauge("hookpost_commit_queue_events", "Events that wait for their commit.", of.queued_events)
    yield Gauge("hookpost_commit_queue_bytes", "Bytes of their payloads.", of.queued_bytes)
    yield Gauge(
        "hookpost_commit_queue_limit_events", "Events beyond which more are refused.", lambda: of.max_queued_events
    )
    yield Gauge("hookpost_handed_off_deliveries", "Deliveries in memory whose attempt has not begun.", of.handed_off)
    yield Gauge("hookpost_handed_off_bytes", "Bytes of their payloads.", of.handed_off_bytes)
    yield Gauge(
        "hookpost_handed_off_limit_deliveries",
        "Deliveries in memory beyond which new ones stay in the database.",
        lambda: of.max_handed_off,
    )
    yield Gauge("hookpost_attempts_in_flight", "Attempts under way.", of.in_flight)
    yield Gauge("hookpost_attempts_in_flight_limit", "Attempts that may be under way.", lambda: of.max_in_flight)
    yield Gauge("hookpost_outcomes_waiting", "Outcomes of attempts not yet written.", of.outcomes_waiting)
    yield Gauge(
        "hookpost_breakers",
        "Webhooks with work in this process, by the state of their breaker.",
        lambda: {(state,): float(count) for state, count in of.breakers().items()},
        ("state",),
    )
    yield Gauge(
        "hookpost_unreadable_webhooks",
        "Webhooks with deliveries that wait because their secrets do not open, or their row makes no sense.",
        of.unreadable,
    )
    yield Gauge("hookpost_database_up", "1 while the database answers; looked at each 2 s.", of.database_up)
    yield Gauge("hookpost_database_connections", "Connections of the pool: idle, used.", connections, ("state",))
    yield Gauge("hookpost_database_connections_limit", "Connections it may have.", lambda: of.pool().limit)
    yield Gauge("hookpost_database_waiters", "Callers that wait for a connection.", lambda: of.pool().waiting)
    yield Gauge(
        "hookpost_backlog_due_deliveries",
        "Deliveries in the database that are due and claimed by nobody, counted up to 20,000 (1,000 of a webhook); "
        "read each 10 s, missing while it can't be.",
        due,
    )
    yield Gauge(
        "hookpost_backlog_oldest_due_age_seconds",
        "For how long the oldest of them has been due; 0 without any.",
        oldest,
    )
