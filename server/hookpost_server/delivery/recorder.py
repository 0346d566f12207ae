"""Writes outcomes in batches: whatever has gathered while the statement before was under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import asyncpg
import structlog

from ..domain import errors, ids
from ..domain.delivery import Record, State, cancelled, reduced
from ..store.deliveries import Deliveries
from ..store.suspensions import Suspensions
from .attempt_log import AttemptLog

MAX_BATCH = 500  # outcomes in one statement
LINGER = 0.02  # seconds that a statement waits for more outcomes, once they come in numbers:
LINGER_FROM, LINGER_UP_TO = 2, 200  # of the statement before, and waiting already
MAX_WAITING = 10_000  # outcomes not yet written, beyond which no attempt starts
RETRY_DELAYS = (0.1, 0.5, 1.0, 2.0)  # seconds between tries while the database is away; the last one repeats

log = structlog.get_logger()


class Recorder:
    """Keeps outcomes until they are written; what follows from them (a retry's time, a suspension) is its word too."""

    def __init__(
        self,
        deliveries: Deliveries,
        suspensions: Suspensions,
        *,
        recorded: Callable[[Sequence[Record]], None],
        log_attempts: str = "all",
    ) -> None:
        """`recorded` is told what was written, e.g. to wake for retries."""
        self._deliveries = deliveries
        self._suspensions = suspensions
        self._recorded = recorded
        self._attempt_log = AttemptLog(log_attempts)
        self._waiting: list[Record] = []
        self._arrived = asyncio.Event()
        self._stopping = False

    @property
    def waiting(self) -> int:
        """Outcomes not yet written."""
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether starting another attempt would outrun the database."""
        return len(self._waiting) >= MAX_WAITING

    def add(self, record: Record) -> None:
        """Takes an outcome; returns at once."""
        self._waiting.append(record)
        self._arrived.set()

    def stop(self) -> None:
        """Lets `run` return once everything is written."""
        self._stopping = True
        self._arrived.set()

    async def run(self) -> None:
        """Writes until `stop` was called and nothing is left."""
        failures, busy = 0, False
        while self._waiting or not self._stopping:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                if busy and len(self._waiting) < LINGER_UP_TO and not self._stopping:
                    await asyncio.sleep(LINGER)
                batch = self._waiting[:MAX_BATCH]
                busy = len(batch) >= LINGER_FROM
                try:
                    await self._write(batch)
                except errors.DatabaseUnavailable as error:
                    log.warning("recorder.waiting", error=error.message, outcomes=len(self._waiting))
                    await asyncio.sleep(RETRY_DELAYS[min(failures, len(RETRY_DELAYS) - 1)])
                    failures += 1
                    continue
                failures = 0
                del self._waiting[: len(batch)]

    async def _write(self, batch: Sequence[Record], *, last_resort: bool = False) -> None:
        try:
            taken = await self._deliveries.record(batch)
        except asyncpg.PostgresError as error:
            if len(batch) > 1:  # one of them is at fault; the others shall not suffer
                for record in batch:
                    await self._write([record])
                return
            log.error("recorder.refused", delivery_id=ids.text(ids.DELIVERY, batch[0].claim.id), error=str(error))
            if isinstance(error, asyncpg.DataError) and not last_resort:
                await self._write([reduced(batch[0])], last_resort=True)
            return
        if State.CANCELLED in taken.values():
            batch = [cancelled(each) if taken.get(each.claim.id) is State.CANCELLED else each for each in batch]
        written = [record for record in batch if record.claim.id in taken]
        self._attempt_log.write(batch, taken)
        self._recorded(written)  # before what may fail: by the next try they have been written
        # Of superseded outcomes too: the batch may have been written before, its commit's reply lost.
        for tenant_id, webhook_id, reason in {
            (r.claim.tenant_id, r.claim.webhook_id, r.conclusion.suspend) for r in batch if r.conclusion.suspend
        }:
            if await self._suspensions.suspend(tenant_id, webhook_id, reason):
                log.warning("webhook.suspended", webhook_id=ids.text(ids.WEBHOOK, webhook_id), reason=reason)
