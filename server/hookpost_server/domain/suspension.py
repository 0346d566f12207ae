"""The suspension of a webhook by the server, and the event that tells of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from . import ids
from .delivery import Attempt
from .event import Event, iso_milliseconds
from .explain import explain

EVENT_TYPE = "hookpost.webhook.suspended"
PARTS, FAILING_PARTS = 5, 4  # of the time after which a webhook is suspended: so many of so many saw attempts
_UNITS = ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspension:
    """What has happened."""

    tenant_id: str
    webhook_id: UUID
    webhook_name: str
    reason: str
    time: datetime
    failing_since: datetime | None
    last_failure: Attempt | None

    def event(self) -> Event:
        """The operational event. It holds no secret: neither URL nor headers, nor what the receiver answered."""
        last = self.last_failure
        payload = {
            "webhookId": ids.text(ids.WEBHOOK, self.webhook_id),
            "webhookName": self.webhook_name,
            "reason": self.reason,
            "suspendedAt": iso_milliseconds(self.time),
            "failingSince": None if self.failing_since is None else iso_milliseconds(self.failing_since),
            "lastStatus": None if last is None else last.status,
            "lastError": None if last is None else explain(last),
        }
        return Event(
            id=ids.new(self.time.timestamp()),
            tenant_id=self.tenant_id,
            type=EVENT_TYPE,
            payload=json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode(),
            occur_time=self.time.astimezone(UTC),
        )


def failing_reason(after: float) -> str:
    """Why a webhook is suspended that has only failed for `after` seconds."""
    size, unit = next((size, unit) for size, unit in _UNITS if after >= size or size == 1.0)
    return f"no attempt succeeded for {after / size:g} {unit}"
