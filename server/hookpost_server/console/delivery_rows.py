"""Deliveries as lists show them that are not of one webhook: each with its webhook's name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ..domain import ids
from ..domain.delivery import Delivery
from ..domain.webhook import Webhook
from .outcomes import Verdict, of_delivery
from .visit import Visit


@dataclass(frozen=True, slots=True)
class Row:
    """One delivery."""

    delivery: Delivery
    id: str
    verdict: Verdict
    create_time: datetime
    webhook_id: str
    webhook_name: str  # empty once it is deleted


class Rows:
    """Makes rows; names are read once."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._names: dict[UUID, str] = {}

    async def of(self, found: Sequence[Delivery]) -> list[Row]:
        """In the same order."""
        if unknown := list({each.webhook_id for each in found} - self._names.keys()):
            webhooks = await self._visit.parts.webhooks.get_many(unknown)
            for webhook_id in unknown:
                webhook = webhooks.get(webhook_id)
                self._names[webhook_id] = webhook.settings.name if isinstance(webhook, Webhook) else ""
        return [
            Row(
                each,
                ids.text(ids.DELIVERY, each.id),
                of_delivery(each, self._visit.texts),
                ids.time_of(each.event_id),
                ids.text(ids.WEBHOOK, each.webhook_id),
                self._names[each.webhook_id],
            )
            for each in found
        ]
