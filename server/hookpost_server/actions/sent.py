"""The request of an attempt, made again: as it was sent, with what must not be shown hidden."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from ..domain import headers
from ..domain.delivery import Attempt, Delivery
from ..domain.event import Event
from ..domain.request import Composer, Request
from ..domain.secret import HIDDEN, Secret
from ..domain.signing import SigningKey
from ..domain.webhook import Settings
from ..store.composers import Composers
from ..store.events import Events
from ..store.revisions import Revision, Revisions

RETIRED = "(retired key)"


class SentRequests:
    """Makes requests again from the event, the webhook's revision and the server's way of then."""

    def __init__(self, events: Events, revisions: Revisions, composers: Composers, own: Composer) -> None:
        """`own` stands for the composer of attempts that did not note theirs."""
        self._events = events
        self._revisions = revisions
        self._composers = composers
        self._own = own

    async def of(self, delivery: Delivery) -> list[Request | None]:
        """One for each attempt, in order; None for one that could not be made, or once the payload is removed.

        Raises NotFound once retention has removed the event.
        """
        event = await self._events.get(delivery.tenant_id, delivery.event_id)
        if event.payload_removed:
            return [None] * len(delivery.attempts)
        revisions = await self._revisions.of(delivery.tenant_id, delivery.webhook_id)
        composers = await self._composers.all()
        return [
            _request(delivery, attempt, event, revisions, composers.get(attempt.composer_id, self._own))
            for attempt in delivery.attempts
        ]


def _request(
    delivery: Delivery, attempt: Attempt, event: Event, revisions: Sequence[Revision], composer: Composer
) -> Request | None:
    # A revision is written when what requests show changes; the latest one up to the attempt's version counts.
    revision = next((each for each in revisions if each.version <= attempt.webhook_version), _NONE)
    moment = attempt.start_time
    keys = revision.keys_at(moment)
    known = bool(keys) and all(key.secret for key in keys)
    try:
        request = composer.compose(
            event,
            delivery.webhook_id,
            dataclasses.replace(revision.settings, url=attempt.url),
            keys if known else [_stand_in(moment)],
            delivery_id=delivery.id,
            attempt=attempt.number,
            timestamp=int(moment.timestamp()),
        )
    except ValueError:
        return None
    custom = {name.lower() for name in revision.settings.headers}
    signatures = set() if known else {composer.signature_header, "webhook-signature"}

    def shown(name: str, value: str) -> str:
        if name.lower() in custom and headers.is_secret(name):
            return HIDDEN
        return RETIRED if name in signatures else value

    return dataclasses.replace(request, headers=tuple((name, shown(name, value)) for name, value in request.headers))


_NONE = Revision(0, Settings(), ())


def _stand_in(moment: datetime) -> SigningKey:
    """For keys that are no longer stored; what it signs is not shown."""
    return SigningKey(id=UUID(int=0), secret=Secret("-" * 16), create_time=moment, expire_time=None)
