"""The request of an attempt, made again: as it was sent, with what must not be shown hidden."""

from __future__ import annotations

import dataclasses
import re
from datetime import datetime
from uuid import UUID

from ..domain.delivery import Attempt, Delivery
from ..domain.event import Event
from ..domain.request import Composer, Request
from ..domain.signing import SigningKey
from ..domain.webhook import Settings
from ..store.events import Events
from ..store.webhooks import Webhooks

_SECRET = re.compile(r"auth|key|token|secret|passw|cookie|credential|signature|session", re.IGNORECASE)
HIDDEN, RETIRED = "***", "(retired key)"


class SentRequests:
    """Makes requests again from the event, the webhook's revision and the keys of then."""

    def __init__(self, events: Events, webhooks: Webhooks, composer: Composer) -> None:
        self._events = events
        self._webhooks = webhooks
        self._composer = composer

    async def of(self, delivery: Delivery) -> list[Request]:
        """One for each attempt, in order; none once retention has removed the payload. Raises NotFound: the event."""
        event = await self._events.get(delivery.tenant_id, delivery.event_id)
        if event.payload_removed:
            return []
        revisions = await self._webhooks.revisions(delivery.tenant_id, delivery.webhook_id)
        keys = await self._webhooks.known_keys(delivery.tenant_id, delivery.webhook_id)
        return [self._request(delivery, attempt, event, revisions, keys) for attempt in delivery.attempts]

    def _request(
        self,
        delivery: Delivery,
        attempt: Attempt,
        event: Event,
        revisions: list[tuple[int, Settings]],
        keys: list[SigningKey],
    ) -> Request:
        # A revision is written when what requests show changes; the latest one up to the attempt's version counts.
        settings = next((given for version, given in revisions if version <= attempt.webhook_version), Settings())
        settings = dataclasses.replace(settings, url=attempt.url)
        moment = attempt.start_time
        then = [
            key for key in keys if key.create_time <= moment and (key.expire_time is None or key.expire_time > moment)
        ]
        request = self._composer.compose(
            event,
            delivery.webhook_id,
            settings,
            then or [_forgotten(moment)],
            delivery_id=delivery.id,
            attempt=attempt.number,
            timestamp=int(moment.timestamp()),
        )
        custom = {name.lower() for name in settings.headers}
        shown = tuple((name, self._shown(name, value, custom, bool(then))) for name, value in request.headers)
        return dataclasses.replace(request, headers=shown)

    def _shown(self, name: str, value: str, custom: set[str], signed: bool) -> str:
        if name.lower() in custom and _SECRET.search(name):
            return HIDDEN
        if not signed and name in (self._composer.signature_header, "webhook-signature"):
            return RETIRED
        return value


def _forgotten(moment: datetime) -> SigningKey:
    """Stands for keys that are no longer stored; what it signs is not shown."""
    return SigningKey(id=UUID(int=0), secret="-" * 16, create_time=moment, expire_time=None)
