"""What holds after every step: the database says what the model says, row by row and count by count."""

from __future__ import annotations

from uuid import UUID

from hookpost_server.domain.delivery import State
from tests.store import making

from .expected import Model
from .stage import Stage

SLACK = 150.0  # real seconds that an example may take, half of the shortest time that is told to pass
COLUMNS = ("event_id", "webhook_id", "type", "state", "trigger", "attempt_count", "last_result", "last_status")
ATTEMPT_COLUMNS = ("trigger", "result", "status", "url", "webhook_version")


async def check(stage: Stage, tenant_id: str, model: Model) -> None:
    """Raises AssertionError where they differ."""
    await _webhooks_are_as_set(stage, tenant_id, model)
    await _the_log_is_as_it_happened(stage, tenant_id, model)
    await _health_is_what_the_log_counts(stage, tenant_id, model)


async def _webhooks_are_as_set(stage: Stage, tenant_id: str, model: Model) -> None:
    found = await stage.webhooks.list(tenant_id, before=UUID(int=2**128 - 1))
    assert [webhook.id for webhook in found] == [webhook.id for webhook in reversed(model.live)]
    for real, webhook in zip(found, reversed(model.live), strict=True):
        assert (real.state, real.state_reason, real.version) == (webhook.state, webhook.reason, webhook.version)
        assert real.settings == making.settings(
            url=webhook.url,
            event_types=webhook.patterns,
            max_in_flight=webhook.in_flight,
            retry_policy=webhook.policy,
        )
        in_force = [key.secret for key in webhook.keys if key.expires is None or key.expires > model.now]
        assert [key.secret.reveal() for key in real.keys] == in_force
    wanted = {(webhook.id, pattern) for webhook in model.live for pattern in webhook.patterns}
    assert await stage.subscriptions(tenant_id) == wanted


async def _the_log_is_as_it_happened(stage: Stage, tenant_id: str, model: Model) -> None:
    entries = model.entries
    assert await stage.events_of(tenant_id) == model.events.keys()
    rows = await stage.rows(tenant_id)
    assert rows.keys() == entries.keys(), "one delivery for each event and subscribed webhook"
    attempts = await stage.attempts(tenant_id, list(entries))
    for delivery_id, row in rows.items():
        entry = entries[delivery_id]
        assert tuple(row[name] for name in COLUMNS) == entry.row
        assert (row["finish_time"] is None) == (entry.state is State.PENDING)
        if entry.state is State.PENDING:
            assert abs(entry.due - model.now - row["wait"]) < SLACK
        tried = attempts.get(delivery_id, [])
        assert [attempt["number"] for attempt in tried] == list(range(1, row["attempt_count"] + 1))
        told = [(a.trigger, a.result, a.status, a.url, a.version) for a in entry.attempts]
        assert [tuple(attempt[name] for name in ATTEMPT_COLUMNS) for attempt in tried] == told


async def _health_is_what_the_log_counts(stage: Stage, tenant_id: str, model: Model) -> None:
    for unit in ("minute", "hour"):
        counters = await stage.counters(tenant_id, unit)
        for webhook in model.webhooks:
            succeeded, failed, tried, _ = model.health(webhook)
            assert counters.get(webhook.id, [0] * 4) == [succeeded, failed, tried, tried]
    streaks = await stage.streaks(tenant_id)
    for webhook in model.webhooks:
        assert streaks.get(webhook.id, 0) == model.health(webhook)[3]
