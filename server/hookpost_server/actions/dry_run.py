"""What an emit would do, without doing it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from ..domain import event
from ..domain.event import Event
from ..domain.webhook import State, Webhook
from ..store.webhooks import Webhooks

MOST = 1000  # webhooks told about; those that would fire come first
LAST = UUID(int=2**128 - 1)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a webhook would receive the event, and why."""

    webhook: Webhook
    matched: bool
    reason: str


async def verdicts(webhooks: Webhooks, candidate: Event) -> list[Verdict]:
    """One for each of the tenant's webhooks, at most MOST."""
    patterns = event.patterns(candidate.type)
    subscribed = await webhooks.list(candidate.tenant_id, before=LAST, patterns=patterns, limit=MOST)
    found = [_verdict(webhook, patterns) for webhook in subscribed]
    if len(found) < MOST:
        known = {webhook.id for webhook in subscribed}
        others = await webhooks.list(candidate.tenant_id, before=LAST, limit=MOST)
        found += [_verdict(webhook, patterns) for webhook in others if webhook.id not in known]
    return sorted(found, key=lambda verdict: not verdict.matched)[:MOST]


def _verdict(webhook: Webhook, patterns: list[str]) -> Verdict:
    matching = [pattern for pattern in webhook.settings.event_types if pattern in patterns]
    if not matching:
        return Verdict(webhook, False, f"it does not subscribe to {patterns[0]}")
    if webhook.state is not State.ACTIVE:
        why = f": {webhook.state_reason}" if webhook.state_reason else ""
        return Verdict(webhook, False, f"it subscribes to {matching[0]}, but is {webhook.state.name.lower()}{why}")
    return Verdict(webhook, True, f"it subscribes to {matching[0]}")
