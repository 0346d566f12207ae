"""The audit log's entries: who did what to what."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .actor import Actor


class Action(enum.StrEnum):
    """What is noted. Reading is not, but for secrets."""

    API_KEY_CREATED = "api_key.created"
    API_KEY_REVOKED = "api_key.revoked"
    SIGNING_KEY_REVEALED = "signing_key.revealed"
    SIGNING_KEY_ROTATED = "signing_key.rotated"
    WEBHOOK_CREATED = "webhook.created"
    WEBHOOK_UPDATED = "webhook.updated"
    WEBHOOK_ENABLED = "webhook.enabled"
    WEBHOOK_DISABLED = "webhook.disabled"
    WEBHOOK_DELETED = "webhook.deleted"
    EVENT_TYPE_CREATED = "event_type.created"
    EVENT_TYPE_UPDATED = "event_type.updated"
    EVENT_TYPE_DELETED = "event_type.deleted"
    DELIVERY_REDELIVERED = "delivery.redelivered"
    REPLAY_STARTED = "replay.started"
    REPLAY_STOPPED = "replay.stopped"
    SIGNED_IN = "console.signed_in"


@dataclass(frozen=True, slots=True)
class Entry:
    """A deed as it was noted."""

    id: int  # greater than those of earlier entries
    time: datetime
    tenant_id: str  # `*`: of no one tenant
    actor: Actor
    action: str
    target: str  # the id of what it was done to
    details: Mapping[str, Any]  # such as the names of changed fields; no values that could be secret
