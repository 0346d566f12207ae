"""One attempt from claim to outcome."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from ..domain import errors, ids
from ..domain.delivery import Claim, Outcome, Record, Result, conclude
from ..domain.request import Composer
from ..domain.webhook import MAX_TIMEOUT, State, Webhook
from ..store.deliveries import Deliveries
from .directory import Directory
from .recorder import Recorder
from .sender import Sender

log = structlog.get_logger()


def _spread() -> float:
    return random.uniform(-1, 1)  # noqa: S311


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

    async def webhook_of(self, claim: Claim) -> Webhook | None:
        """The webhook as it is now; None when the claim must not be attempted, and has been dealt with."""
        try:
            webhook = await self._directory.get(claim.webhook_id, claim.webhook_version)
            if webhook is None:
                await self._deliveries.cancel([claim])
            elif webhook.state is not State.ACTIVE:
                await self._deliveries.release([claim])
            elif time.monotonic() + MAX_TIMEOUT < claim.deadline:
                return webhook
            # Else it waited too long: another node may take it over in the midst of the attempt. Its lease lapses.
        except errors.DatabaseUnavailable as error:
            log.warning("delivery.postponed", delivery_id=ids.text(ids.DELIVERY, claim.id), error=error.message)
        return None

    async def attempt(self, claim: Claim, webhook: Webhook) -> Record:
        """POSTs once, hands the outcome to the recorder, and returns it."""
        start = self._now()
        began = time.monotonic()
        start_time = datetime.fromtimestamp(start, UTC)
        try:
            request = self._composer.compose(
                claim.event,
                webhook.id,
                webhook.settings,
                webhook.keys_at(start_time),
                delivery_id=claim.id,
                attempt=claim.attempt,
                timestamp=int(start_time.timestamp()),
            )
            outcome = await self._sender.send(request)
        except Exception as error:
            # A fault of ours must neither end the engine nor be tried for ever.
            log.exception("delivery.fault", delivery_id=ids.text(ids.DELIVERY, claim.id))
            outcome = Outcome(result=Result.INTERNAL, error=f"the request could not be made ({type(error).__name__})")
        latency = time.monotonic() - began
        conclusion = conclude(claim.attempt, webhook.settings.retry_policy, outcome, self._spread(), claim.trigger)
        record = Record(claim, outcome, conclusion, webhook.settings.url, start_time, latency, webhook.version)
        self._recorder.add(record)
        return record
