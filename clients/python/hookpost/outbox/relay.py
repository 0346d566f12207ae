"""Takes entries from an outbox and emits them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from hookpost.aio import AsyncClient
from hookpost.emission import Event, request_of
from hookpost.emitter import Emitter
from hookpost.errors import HookpostError
from hookpost.v1.event_service_pb2 import EmitEventResponse

BATCH = 500  # entries in one transaction
INTERVAL = 1.0  # seconds between looks at an empty outbox
DELAYS = (0.5, 1.0, 2.0, 5.0, 10.0)  # seconds after a failure, ±50 %; the last one repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A row of the outbox."""

    id: UUID
    type: str
    tenant_id: str
    payload: bytes
    occur_time: datetime

    @classmethod
    def of(cls, event: Event, identity: UUID, now: datetime) -> Entry:
        """Raises ValueError for an event that could never be emitted, while the caller can still do something."""
        request = request_of(event)
        return cls(
            id=identity,
            type=event.type,
            tenant_id=event.tenant_id,
            payload=request.json.encode(),
            occur_time=event.occur_time or now,
        )


class Batch(Protocol):
    """Entries that nobody else gets while they are held."""

    entries: Sequence[Entry]

    async def settle(self, emitted: Sequence[UUID], refused: Mapping[UUID, str]) -> None:
        """Deletes what was emitted, and notes why others never will be."""


class Source(Protocol):
    """Where entries are kept."""

    transient: tuple[type[Exception], ...]  # errors that mean that the database is away

    def take(self, limit: int) -> AbstractAsyncContextManager[Batch]:
        """The oldest that nobody holds, in a transaction that ends with the block."""


class Relay:
    """Emits what the outbox holds, oldest first, until cancelled. Several may share one outbox.

    Order is kept as far as one relay's batches go; Hookpost itself promises none.
    """

    def __init__(self, source: Source, client: AsyncClient, *, batch: int = BATCH, interval: float = INTERVAL) -> None:
        self._source = source
        self._client = client
        self._batch = batch
        self._interval = interval

    async def run(self) -> None:
        """Until cancelled. A database or a server that is away is waited for."""
        failures = 0
        away: tuple[type[Exception], ...] = (HookpostError, *self._source.transient)
        async with self._client.emitter() as emitter:
            while True:
                try:
                    moved = await self._move(emitter)
                    failures = 0
                except away as error:
                    if isinstance(error, HookpostError) and not error.retryable:
                        raise
                    delay = DELAYS[min(failures, len(DELAYS) - 1)]
                    await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311
                    failures += 1
                    continue
                if moved < self._batch:
                    await asyncio.sleep(self._interval)

    async def drain(self) -> int:
        """Emits until nothing is left; returns how many were taken. Raises HookpostError when the server is away."""
        total = 0
        async with self._client.emitter() as emitter:
            while moved := await self._move(emitter):
                total += moved
        return total

    async def _move(self, emitter: Emitter) -> int:
        """One batch. What was emitted is settled even if the rest of it fails."""
        async with self._source.take(self._batch) as batch:
            answers = await asyncio.gather(*(_emit(emitter, entry) for entry in batch.entries), return_exceptions=True)
            emitted, refused, failure = [], {}, None
            for entry, answer in zip(batch.entries, answers, strict=True):
                if not isinstance(answer, BaseException):
                    emitted.append(entry.id)
                elif _is_refusal(answer):
                    refused[entry.id] = str(answer)
                else:
                    failure = failure or answer
            await batch.settle(emitted, refused)
        if failure is not None:
            raise failure
        return len(batch.entries)


# Reasons that are the event's own; anything else, such as a missing scope, is not cured by setting entries aside.
_REFUSALS = frozenset({"FIELD_INVALID", "EVENT_TYPE_UNKNOWN", "IDEMPOTENCY_KEY_REUSED", "LIMIT_EXCEEDED"})


def _is_refusal(error: BaseException) -> bool:
    if isinstance(error, HookpostError):
        return not error.retryable and error.reason in _REFUSALS
    return isinstance(error, ValueError)  # a row that `add` has not written, with a payload that is no text


async def _emit(emitter: Emitter, entry: Entry) -> EmitEventResponse:
    request = request_of(
        Event(
            type=entry.type,
            payload=entry.payload,
            tenant_id=entry.tenant_id,
            idempotency_key=str(entry.id),
            occur_time=entry.occur_time,
        )
    )
    return await emitter.emit(request)
