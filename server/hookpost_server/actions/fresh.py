"""The request of a delivery as it would be sent now: today's settings, the keys in force, this moment's signature."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from ..domain import errors, ids
from ..domain.delivery import Delivery
from ..domain.request import Composer, Request
from ..store.events import Events
from ..store.webhooks import Webhooks


class FreshRequests:
    """Composes and signs; sends nothing."""

    def __init__(self, webhooks: Webhooks, events: Events, composer: Composer, now: Callable[[], float]) -> None:
        """`now` in unix seconds."""
        self._webhooks = webhooks
        self._events = events
        self._composer = composer
        self._now = now

    async def of(self, delivery: Delivery) -> Request:
        """With all its secrets, which the audit log notes: signatures are good, custom headers are not hidden.

        Raises NotFound for a webhook that was deleted or an event that was removed, PayloadRemoved, and InvalidFields
        for a webhook whose settings must not be sent.
        """
        event = await self._events.get(delivery.tenant_id, delivery.event_id)
        if event.payload_removed:
            raise errors.PayloadRemoved(ids.text(ids.EVENT, event.id))
        webhook = await self._webhooks.reveal_keys(delivery.tenant_id, delivery.webhook_id)
        now = self._now()
        try:
            return self._composer.compose(
                event,
                webhook.id,
                webhook.settings,
                webhook.keys_at(datetime.fromtimestamp(now, UTC)),
                delivery_id=delivery.id,
                attempt=max(1, delivery.attempt_count),
                timestamp=int(now),
            )
        except ValueError as error:
            raise errors.InvalidFields.one("webhook", str(error)) from None
