"""Group commit: emits that arrive while a statement is under way share the next one.

At a low rate each event has a statement to itself and no wait before it; under load one disk flush serves hundreds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import asyncpg
import structlog

from .. import failpoints
from ..domain import errors
from ..domain.delivery import Claim
from ..domain.event import Event
from .events import Accepted, Emitted, Events, Room
from .placement import group_of

MAX_EVENTS = 1000  # in one statement
MAX_DELIVERIES = 2000  # expected of one statement: fan-out, not events, is what makes everyone in it wait
MAX_BYTES = 16 * 1024 * 1024  # of payloads in one statement
MAX_QUEUED_BYTES = 128 * 1024 * 1024  # of payloads waiting
# A statement costs nearly as much for two events as for twenty. Once they come in numbers, the next statement waits for
# more of them; at a low rate none waits. By unary calls half as many events again go through.
LINGER = 0.004  # seconds
LINGER_FROM, LINGER_UP_TO = 2, 64  # submissions of the statement before; events queued already
MAX_ROUTES = 10_000  # remembered fan-outs

Result = Emitted | errors.IdempotencyKeyReused
log = structlog.get_logger()


@dataclass(slots=True)
class _Submission:
    events: Sequence[Event]
    atomic: bool  # in a transaction of its own, all or none
    done: asyncio.Future[list[Result]]
    deliveries: int  # expected
    bytes: int


class GroupCommit:
    """Takes events, answers when they are committed."""

    def __init__(
        self,
        events: Events,
        *,
        max_queued: int,
        room: Callable[[], Room],
        committed: Callable[[Sequence[Claim], bool], None],
        unanswered: Callable[[Sequence[Event]], None],
    ) -> None:
        """`committed` gets the deliveries that this process owns now, and whether others are left in the queue.

        `unanswered` gets events of which nobody knows whether they are committed.
        """
        self._events = events
        self._max_queued = max_queued
        self._room = room
        self._committed = committed
        self._unanswered = unanswered
        self._queue: deque[_Submission] = deque()
        self._queued = 0
        self._queued_bytes = 0
        self._arrived = asyncio.Event()
        self._stopping = False
        self._fan_out: dict[tuple[str, str], int] = {}

    @property
    def queued(self) -> int:
        """Events that wait for their commit, those of the statement under way included."""
        return self._queued

    @property
    def queued_bytes(self) -> int:
        """Bytes of their payloads."""
        return self._queued_bytes

    async def emit(self, event: Event) -> Emitted:
        """Raises IdempotencyKeyReused, BacklogFull, ShuttingDown, DatabaseUnavailable."""
        result = (await self._enqueue([event], atomic=False))[0]
        if isinstance(result, errors.IdempotencyKeyReused):
            raise result
        return result

    async def emit_all(self, events: Sequence[Event]) -> list[Emitted]:
        """All or none; the same errors as `emit`."""
        atomic = any(event.idempotency_key is not None for event in events)
        return [r for r in await self._enqueue(events, atomic=atomic) if isinstance(r, Emitted)]

    def submit(self, events: Sequence[Event]) -> asyncio.Future[list[Result]]:
        """For streams: several events, each on its own; the future holds a result for each. Raises BacklogFull …"""
        return self._enqueue(events, atomic=False)

    def _enqueue(self, events: Sequence[Event], *, atomic: bool) -> asyncio.Future[list[Result]]:
        if self._stopping:
            raise errors.ShuttingDown
        size = expected = 0
        for event in events:
            size += len(event.payload)
            expected += self._fan_out.get((event.tenant_id, event.type), 1)
        if self._queued and (
            self._queued + len(events) > self._max_queued or self._queued_bytes + size > MAX_QUEUED_BYTES
        ):
            raise errors.BacklogFull(f"{self._queued:,} events wait for their commit")
        done: asyncio.Future[list[Result]] = asyncio.get_running_loop().create_future()
        if not events:
            done.set_result([])
            return done
        self._queue.append(_Submission(events, atomic, done, expected, size))
        self._queued += len(events)
        self._queued_bytes += size
        self._arrived.set()
        return done

    async def run(self) -> None:
        """Commits until `stop` was called and nothing is queued."""
        busy = False
        while self._queue or not self._stopping:
            await self._arrived.wait()
            self._arrived.clear()
            while self._queue:
                if busy and self._queued < LINGER_UP_TO:
                    await asyncio.sleep(LINGER)
                batch = self._take()
                busy = len(batch) >= LINGER_FROM
                await (self._commit_atomic(batch[0]) if batch[0].atomic else self._commit(batch))
                self._queued -= sum(len(submission.events) for submission in batch)
                self._queued_bytes -= sum(submission.bytes for submission in batch)

    def stop(self) -> None:
        """Refuses new events; what is queued is still committed."""
        self._stopping = True
        self._arrived.set()

    def _take(self) -> list[_Submission]:
        """The next submissions that may share a statement: at least one, within the bounds."""
        first = self._queue.popleft()
        if first.atomic:
            return [first]
        batch, events, deliveries, size = [first], len(first.events), first.deliveries, first.bytes
        group = group_of(first.events[0].tenant_id)
        while self._queue:
            following = self._queue[0]
            events += len(following.events)
            deliveries += following.deliveries
            size += following.bytes
            if following.atomic or events > MAX_EVENTS or deliveries > MAX_DELIVERIES or size > MAX_BYTES:
                break
            if group_of(following.events[0].tenant_id) != group:
                break
            batch.append(self._queue.popleft())
        return batch

    async def _commit(self, batch: list[_Submission]) -> None:
        events = [event for submission in batch for event in submission.events]
        try:
            accepted = await self._events.emit(events, self._room())
        except asyncpg.PostgresError as error:
            if len(batch) == 1:
                self._fail(batch, error)
                return
            # One of them is at fault, and only that one shall fail.
            log.error("emit.batch_failed", error=str(error), submissions=len(batch))
            for submission in batch:
                await self._commit([submission])
        except Exception as error:
            self._fail(batch, error)
        else:
            self._deliver(batch, events, accepted)

    async def _commit_atomic(self, submission: _Submission) -> None:
        try:
            accepted = await self._events.emit_atomically(submission.events, self._room())
        except Exception as error:
            self._fail([submission], error)
        else:
            self._deliver([submission], submission.events, accepted)

    def _deliver(self, batch: list[_Submission], events: Sequence[Event], accepted: Accepted) -> None:
        failpoints.hit("emit.committed")
        self._committed(accepted.claims, accepted.left_in_queue)
        self._learn(events, accepted.results)
        start = 0
        for submission in batch:
            end = start + len(submission.events)
            if not submission.done.done():  # its caller may have gone; the events are committed all the same
                submission.done.set_result(accepted.results[start:end])
            start = end

    def _learn(self, events: Sequence[Event], results: Sequence[Result]) -> None:
        if len(self._fan_out) > MAX_ROUTES:
            self._fan_out.clear()
        for event, result in zip(events, results, strict=True):
            if isinstance(result, Emitted):
                self._fan_out[event.tenant_id, event.type] = max(1, result.delivery_count)

    def _fail(self, batch: list[_Submission], error: Exception) -> None:
        if isinstance(error, errors.DatabaseUnavailable):
            error = errors.EmitUnanswered(error)
        for submission in batch:
            if isinstance(error, errors.EmitUnanswered):
                self._unanswered(submission.events)
            if not submission.done.done():
                submission.done.set_exception(error)
