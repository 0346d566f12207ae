"""One attempt from claim to outcome."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import structlog

from .. import failpoints
from ..domain import errors, ids
from ..domain.delivery import Claim, Outcome, Record, Result, conclude
from ..domain.request import Composer, Letterhead
from ..domain.signing import SigningKey
from ..domain.webhook import MAX_TIMEOUT, State, Webhook
from ..store.deliveries import Deliveries
from .directory import Directory
from .recorder import Recorder
from .sender import Sender

MAX_LETTERHEADS = 10_000  # remembered
SHORTAGE_PAUSE = 1.0  # seconds until a claim that no socket could be made for is given back
STEP = 1000  # claims given back or cancelled by one statement

log = structlog.get_logger()


def _spread() -> float:
    return random.uniform(-1, 1)  # noqa: S311


@dataclass(frozen=True, slots=True)
class _Known:
    """A letterhead and what it was made of."""

    webhook: Webhook
    keys: list[SigningKey]
    letterhead: Letterhead


class Courier:
    """Brings one claim to its webhook. Whatever happens ends in an outcome or in giving the claim back."""

    def __init__(
        self,
        *,
        deliveries: Deliveries,
        directory: Directory,
        composer: Composer,
        sender: Sender,
        recorder: Recorder,
        now: Callable[[], float],
        spread: Callable[[], float] = _spread,
    ) -> None:
        self._deliveries = deliveries
        self._directory = directory
        self._composer = composer
        self._sender = sender
        self._recorder = recorder
        self._now = now
        self._spread = spread
        self._letterheads: dict[UUID, _Known] = {}

    async def webhook_of(self, claim: Claim, others: Callable[[], Sequence[Claim]] = tuple) -> Webhook | None:
        """The webhook as it is now; None when the claim must not be attempted, and has been dealt with.

        When no claim of the webhook may be, `others` gives those that wait for it too, and they are dealt with as well.
        """
        version = claim.webhook_version
        webhook = self._directory.known(claim.webhook_id, version) if version else None
        if webhook is None or webhook.state is not State.ACTIVE:
            try:
                webhook = await self.active(claim.webhook_id, version, lambda: [claim, *others()])
            except errors.DatabaseUnavailable as error:
                log.warning("delivery.postponed", delivery_id=ids.text(ids.DELIVERY, claim.id), error=error.message)
                return None
        # Has it waited too long, another node may take it over in the midst of the attempt: its lease lapses.
        return webhook if time.monotonic() + MAX_TIMEOUT < claim.deadline else None

    async def active(self, webhook_id: UUID, version: int, claims: Callable[[], Sequence[Claim]]) -> Webhook | None:
        """The webhook as it is now, if it takes deliveries; else None, and its `claims` are given back or cancelled.

        Raises DatabaseUnavailable; the claims' leases lapse then.
        """
        try:
            webhook = await self._directory.get(webhook_id, version) if version else None  # 0: its claim found it gone
        except errors.WebhookUnreadable as error:
            log.error("webhook.unreadable", error=error.message, deliveries=len(claims()))  # until their leases lapse
            return None
        if webhook is not None and webhook.state is State.ACTIVE:
            return webhook
        await _in_steps(self._deliveries.cancel if webhook is None else self._deliveries.release, claims())
        return None

    async def give_back(self, claims: Sequence[Claim]) -> None:
        """Makes claims due again at once, for any node."""
        try:
            await _in_steps(self._deliveries.release, claims)
        except errors.DatabaseUnavailable as error:
            log.warning("release.postponed", error=error.message, deliveries=len(claims))  # their leases lapse

    async def attempt(self, claim: Claim, webhook: Webhook) -> Record | None:
        """POSTs once, hands the outcome to the recorder, and returns it; None when the claim was given back."""
        start = self._now()
        began = time.monotonic()
        start_time = datetime.fromtimestamp(start, UTC)
        try:
            request = self._letterhead(webhook, start_time).compose(
                claim.event, delivery_id=claim.id, attempt=claim.attempt, timestamp=int(start)
            )
            failpoints.hit("attempt.unsent")
            outcome = await self._sender.send(request)
            failpoints.hit("attempt.answered")
        except errors.NoSocket as error:
            log.warning("delivery.postponed", delivery_id=ids.text(ids.DELIVERY, claim.id), error=error.message)
            await asyncio.sleep(SHORTAGE_PAUSE)  # the slot stays taken: fewer attempts at once are what helps
            await self.give_back([claim])
            return None
        except Exception as error:
            # A fault of ours must neither end the engine nor be tried for ever.
            log.exception("delivery.fault", delivery_id=ids.text(ids.DELIVERY, claim.id))
            outcome = Outcome(result=Result.INTERNAL, error=f"the request could not be made ({type(error).__name__})")
        latency = time.monotonic() - began
        conclusion = conclude(claim.attempt, webhook.settings.retry_policy, outcome, self._spread(), claim.trigger)
        url, version, composer_id = webhook.settings.url, webhook.version, self._composer.id
        record = Record(claim, outcome, conclusion, url, start_time, latency, version, composer_id)
        self._recorder.add(record)
        return record

    def _letterhead(self, webhook: Webhook, moment: datetime) -> Letterhead:
        """Made once for each version of a webhook, and again when a key's overlap ends."""
        known = self._letterheads.get(webhook.id)
        keys = webhook.keys_at(moment)
        if known is not None and known.webhook is webhook and known.keys == keys:
            return known.letterhead
        letterhead = self._composer.prepare(webhook.id, webhook.settings, keys)
        if len(self._letterheads) >= MAX_LETTERHEADS:
            self._letterheads.clear()
        self._letterheads[webhook.id] = _Known(webhook, keys, letterhead)
        return letterhead


async def _in_steps(act: Callable[[Sequence[Claim]], Awaitable[None]], claims: Sequence[Claim]) -> None:
    for start in range(0, len(claims), STEP):
        await act(claims[start : start + STEP])
