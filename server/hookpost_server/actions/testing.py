"""Test sends: the example of each event type, POSTed now, and forgotten."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ..domain import errors, event, event_type, ids
from ..domain.delivery import Attempt, Outcome, Result, Trigger
from ..domain.event import Event
from ..domain.request import Composer, Request
from ..domain.webhook import SettingsRules, Webhook, changed
from ..store.event_types import EventTypes
from ..store.webhooks import Webhooks

MAX_TYPES = 100
PARALLEL = 10  # requests of one test under way at once

Send = Callable[[Request], Awaitable[Outcome]]


class WebhookTester:
    """Sends tests through the same client as deliveries; nothing of them is stored or counted."""

    def __init__(
        self,
        *,
        webhooks: Webhooks,
        event_types: EventTypes,
        rules: SettingsRules,
        composer: Composer,
        send: Send,
        now: Callable[[], float],
    ) -> None:
        self._webhooks = webhooks
        self._event_types = event_types
        self._rules = rules
        self._composer = composer
        self._send = send
        self._now = now

    async def test(
        self, tenant_id: str, webhook_id: UUID, names: Sequence[str], unsaved: dict[str, Any]
    ) -> list[tuple[str, Attempt]]:
        """One result for each type, in order; `unsaved` settings (url, headers, payload_format) go before the stored.

        Without names, all that the webhook subscribes to. Raises NotFound, EventTypeUnknown, InvalidFields.
        """
        webhook = await self._webhooks.get(tenant_id, webhook_id)
        if unsaved:
            settings = self._rules.check(changed(webhook.settings, unsaved), prefix="")
            webhook = dataclasses.replace(webhook, settings=settings)
        examples = await self._event_types.examples()
        chosen = list(dict.fromkeys(names)) or subscribed(webhook, examples)
        if len(chosen) > MAX_TYPES:
            raise errors.InvalidFields.one("event_types", f"must have at most {MAX_TYPES} entries, has {len(chosen)}")
        for name in chosen:
            if name not in examples:
                raise event_type.unknown(name, examples)
        slots = asyncio.Semaphore(PARALLEL)

        async def one(name: str) -> tuple[str, Attempt]:
            async with slots:
                # The keys of now: a test of many types outlives a rotation.
                keys = (await self._webhooks.get(tenant_id, webhook_id)).keys
                return name, await self._attempt(dataclasses.replace(webhook, keys=keys), name, examples[name].encode())

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(name)) for name in chosen]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None  # the caller is told of the first; the others were cancelled
        return [task.result() for task in tasks]

    async def _attempt(self, webhook: Webhook, name: str, payload: bytes) -> Attempt:
        start = self._now()
        start_time = datetime.fromtimestamp(start, UTC)
        sample = Event(
            id=ids.new(start), tenant_id=webhook.tenant_id, type=name, payload=payload, occur_time=start_time
        )
        began = time.monotonic()
        try:
            request = self._composer.compose(
                sample,
                webhook.id,
                webhook.settings,
                webhook.keys_at(start_time),
                delivery_id=ids.delivery(sample.id, webhook.id),
                attempt=1,
                timestamp=int(start_time.timestamp()),
                test=True,
            )
        except ValueError as error:
            outcome = Outcome(result=Result.INTERNAL, error=str(error))
        else:
            outcome = await self._send(request)
        return Attempt(
            number=1,
            trigger=Trigger.TEST,
            result=outcome.result,
            status=outcome.status,
            error=outcome.error,
            url=webhook.settings.url,
            start_time=start_time,
            latency=time.monotonic() - began,
            headers=outcome.headers,
            body=outcome.body,
            truncated=outcome.truncated,
        )


def subscribed(webhook: Webhook, known: dict[str, str]) -> list[str]:
    """The known types that the webhook's patterns match, in the patterns' order."""
    chosen: dict[str, None] = {}
    for pattern in webhook.settings.event_types:
        chosen.update(dict.fromkeys(name for name in known if pattern in event.patterns(name)))
    if not chosen:
        raise errors.InvalidFields.one("event_types", "is required: the webhook subscribes to no type of the catalogue")
    return list(chosen)
