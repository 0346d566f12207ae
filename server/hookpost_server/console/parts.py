"""What pages work with: the stores and actions that the RPCs use too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from ..actions.fresh import FreshRequests
from ..actions.sent import SentRequests
from ..actions.testing import WebhookTester
from ..actions.watching import Watches
from ..domain.webhook import SettingsRules
from ..store.api_keys import ApiKeys
from ..store.audit import AuditLog
from ..store.backlog import Backlog
from ..store.changes import ChangeFeed
from ..store.database import Database
from ..store.deliveries import Deliveries
from ..store.event_counts import EventCounts
from ..store.event_types import EventTypes, KnownTypes
from ..store.events import Events
from ..store.fan_out import FanOuts
from ..store.health import HealthFigures
from ..store.replay_progress import ReplayProgress
from ..store.replays import Replays
from ..store.webhooks import Webhooks
from .node import Node


@dataclass(frozen=True, slots=True)
class Records:
    """Stores that nothing but pages reads here."""

    api_keys: ApiKeys
    audit: AuditLog
    fan_outs: FanOuts
    feed: ChangeFeed

    @classmethod
    def of(cls, database: Database) -> Records:
        return cls(ApiKeys(database), AuditLog(database), FanOuts(database), ChangeFeed(database))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Built by `app`, read by pages."""

    webhooks: Webhooks
    event_types: EventTypes
    known_types: KnownTypes
    event_counts: EventCounts
    events: Events
    deliveries: Deliveries
    replays: Replays
    replay_progress: ReplayProgress
    health: HealthFigures
    backlog: Backlog
    sent: SentRequests
    fresh: FreshRequests
    records: Records
    tester: WebhookTester
    watches: Watches
    rules: SettingsRules
    now: Callable[[], float]  # unix seconds
    wake: Callable[[], None]  # tells the engine that deliveries have become due
    held_for: Callable[[UUID], float | None]  # seconds for which a webhook's deliveries are held back here
    node: Node
