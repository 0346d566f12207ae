"""Decides which delivery is attempted when: fair turns between webhooks, a cap in flight for each, bounds on memory.

Claims come from two sides. Those of an event just committed are handed over in memory, already leased. Everything
else (retries, orphans of a dead process, what memory had no room for) is claimed from the database, where waiting
work is found by polling; hints only make it sooner.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from functools import partial
from uuid import UUID

import asyncpg
import structlog

from .. import failpoints
from ..domain import errors
from ..domain.delivery import Claim, Record
from ..domain.webhook import MAX_TIMEOUT
from ..store.deliveries import START, Cursor, Deliveries
from ..store.events import Room
from .courier import Courier
from .lane import Lane, Load
from .recorder import Recorder

MAX_WAITING_BYTES = 64 * 1024 * 1024  # of payloads in memory
CLAIM_EACH = 64  # deliveries of one webhook in one claim
LOOK_INTERVAL = 1.0  # seconds until claims that wait are given back when their webhook was stopped or deleted
RECORDER_PAUSE = 0.05  # seconds to wait when outcomes come faster than they are written

log = structlog.get_logger()


class Dispatcher:
    """Runs attempts, at most `max_in_flight` at once.

    Of what is handed over it keeps at most `max_waiting` in memory, of what it claims twice `max_in_flight`.
    """

    def __init__(
        self,
        *,
        deliveries: Deliveries,
        courier: Courier,
        recorder: Recorder,
        max_in_flight: int,
        max_waiting: int,
        lease: float,
        poll_interval: float,
    ) -> None:
        self._deliveries = deliveries
        self._courier = courier
        self._recorder = recorder
        self._max_in_flight = max_in_flight
        self._max_waiting = max_waiting
        # A claim must begin its attempt so long before its lease ends that the attempt can end too.
        self._horizon = (lease - MAX_TIMEOUT) * 0.6
        self._poll_interval = poll_interval
        self._lanes: dict[UUID, Lane] = {}
        self._ready: deque[Lane] = deque()  # lanes with waiting claims and a free slot, in turn
        self._waiting = 0
        self._waiting_bytes = 0
        self._in_flight = 0
        self._running: dict[asyncio.Task[None], Claim] = {}
        self._behind = False  # the database may hold due work that memory had no room for
        self._paused = False  # the recorder is full, and is looked at again soon
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._stopping = False
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def in_flight(self) -> int:
        return self._in_flight

    def load(self) -> Load:
        """What is held in memory now."""
        return Load(self._waiting, self._waiting_bytes, len(self._lanes))

    def room(self) -> Room:
        """What can be handed over now."""
        if self._stopping or self._tasks is None or self._waiting_bytes > MAX_WAITING_BYTES:
            return Room(0)
        return Room(max(0, self._max_waiting - self._waiting), self._full_lanes())

    def accept(self, claims: Sequence[Claim], left_in_queue: bool) -> None:
        """Takes over claims of events just committed; more may be left in the database."""
        self._take(claims)
        over = [] if self._stopping else self._overflow()
        if over and self._tasks is not None:
            self._tasks.create_task(self._courier.give_back(over))
        if left_in_queue or over:
            self._behind = True
            self._wake.set()

    def wake(self) -> None:
        """Deliveries may have become due: looks at once."""
        self._behind = True
        self._wake.set()

    def recorded(self, records: Sequence[Record]) -> None:
        """Looks again when the first of these retries is due."""
        delays = [record.conclusion.delay for record in records if record.conclusion.delay is not None]
        if delays:
            self._wake_in(min(delays))

    async def run(self, grace: float) -> None:
        """Until `stop`: then claims no more, lets attempts end for `grace` seconds and gives the rest back."""
        async with asyncio.TaskGroup() as self._tasks:
            looking = self._tasks.create_task(self._look_after_waiting())
            await self._claim_until_stopped()
            looking.cancel()
            await self._drain(grace)

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    async def _claim_until_stopped(self) -> None:
        cursor = START
        while not self._stopping:
            start = cursor
            room = 2 * self._max_in_flight - self._waiting
            claims: list[Claim] = []
            if room > 0:
                full = self._full_lanes()
                claims, cursor = await self._claim(cursor, room, full)
                self._behind = bool(claims) or cursor != START or bool(full)
                self._take(claims)
            if not claims and (room <= 0 or start == cursor == START):  # a whole round found nothing
                await self._sleep()

    async def _claim(self, cursor: Cursor, room: int, full: Sequence[UUID]) -> tuple[list[Claim], Cursor]:
        try:
            return await self._deliveries.claim(cursor, room=room, room_each=CLAIM_EACH, full=full)
        except errors.DatabaseUnavailable as error:
            log.warning("claim.postponed", error=error.message)
        except asyncpg.PostgresError:
            log.exception("claim.failed")  # a bug; attempts already handed over go on all the same
        return [], START

    async def _sleep(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._poll_interval):
                await self._wake.wait()
        self._wake.clear()

    def _wake_in(self, delay: float) -> None:
        """Wakes after `delay` seconds, unless something does sooner."""
        loop = asyncio.get_running_loop()
        when = loop.time() + delay
        if self._timer is not None and loop.time() < self._timer.when() <= when:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(when, self._wake.set)

    def _full_lanes(self) -> list[UUID]:
        return [
            lane.webhook_id
            for lane in self._lanes.values()
            if lane.held >= lane.limit and lane.held >= lane.capacity(self._horizon)
        ]

    def _take(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            lane = self._lanes.get(claim.webhook_id)
            if lane is None:
                lane = self._lanes[claim.webhook_id] = Lane(claim.webhook_id)
            lane.waiting.append(claim)
            self._waiting_bytes += len(claim.event.payload)
            self._offer(lane)
        self._waiting += len(claims)
        self._start()

    def _overflow(self) -> list[Claim]:
        """Takes back, newest first, what lanes can't attempt within the lease."""
        over = []
        for lane in self._lanes.values():
            if lane.held <= lane.limit:
                continue
            most = lane.capacity(self._horizon) + CLAIM_EACH
            while lane.held > most and lane.waiting:
                over.append(self._untake(lane, lane.waiting.pop()))
        return over

    def _untake(self, lane: Lane, claim: Claim) -> Claim:
        self._waiting -= 1
        self._waiting_bytes -= len(claim.event.payload)
        return claim

    def _withdraw(self, lane: Lane) -> list[Claim]:
        """Takes out all that waits."""
        return [self._untake(lane, lane.waiting.popleft()) for _ in range(len(lane.waiting))]

    async def _look_after_waiting(self) -> None:
        """Looks at the webhooks of lanes that start nothing, for a rate limit or a slow receiver, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_INTERVAL)
            async with asyncio.TaskGroup() as looks:
                for lane in self._lanes.values():
                    if lane.waiting and not lane.started:
                        looks.create_task(self._look(lane, lane.waiting[0].webhook_version))
                    lane.started = False

    async def _look(self, lane: Lane, version: int) -> None:
        with contextlib.suppress(errors.DatabaseUnavailable):  # it will be looked at again
            await self._courier.active(lane.webhook_id, version, partial(self._withdraw, lane))
        self._forget(lane)

    def _offer(self, lane: Lane) -> None:
        """Gives a lane its turn, once, if it can use one."""
        if not lane.ready and lane.startable:
            lane.ready = True
            self._ready.append(lane)

    def _start(self) -> None:
        """Starts attempts while there are slots: one of each ready lane in turn."""
        if self._tasks is None or self._stopping:
            return
        loop = asyncio.get_running_loop()
        while self._ready and self._in_flight < self._max_in_flight:
            if self._recorder.full:
                if not self._paused:
                    self._paused = True
                    loop.call_later(RECORDER_PAUSE, self._unpause)
                return
            lane = self._ready.popleft()
            if lane.interval and (wait := lane.next_start - loop.time()) > 0:
                loop.call_later(wait, self._resume, lane)  # it stays marked as ready, so that it is not offered twice
                continue
            lane.ready = False
            if not lane.startable:
                continue
            claim = self._untake(lane, lane.waiting.popleft())
            lane.started = True
            lane.in_flight += 1
            self._in_flight += 1
            lane.next_start = max(loop.time(), lane.next_start) + lane.interval
            self._offer(lane)
            task = self._tasks.create_task(self._attempt(lane, claim))
            self._running[task] = claim

    def _unpause(self) -> None:
        self._paused = False
        self._start()

    def _resume(self, lane: Lane) -> None:
        """Back in turn after its rate limit held it."""
        lane.ready = False
        self._offer(lane)
        self._start()

    async def _attempt(self, lane: Lane, claim: Claim) -> None:
        try:
            webhook = await self._courier.webhook_of(claim, partial(self._withdraw, lane))
            if webhook is not None:
                lane.configure(webhook.settings)
                self._offer(lane)
                self._start()
                lane.learn(await self._courier.attempt(claim, webhook))
        finally:
            if task := asyncio.current_task():
                self._running.pop(task, None)
            self._in_flight -= 1
            lane.in_flight -= 1
            self._offer(lane)
            self._forget(lane)
            if self._behind and self._waiting < self._max_in_flight and lane.held < 2 * lane.limit:
                self._wake.set()
            self._start()

    def _forget(self, lane: Lane) -> None:
        """Drops a lane that has nothing to do, as soon as its rate limit would let the next attempt start."""
        if not lane.idle or self._lanes.get(lane.webhook_id) is not lane:
            return
        loop = asyncio.get_running_loop()
        if lane.interval and (wait := lane.next_start - loop.time()) > 0:
            loop.call_later(wait, self._forget, lane)
        else:
            del self._lanes[lane.webhook_id]

    async def give_back_waiting(self) -> None:
        """Gives back what waits; to be called once more after `run`, for what a commit under way has handed over."""
        waiting = [claim for lane in self._lanes.values() for claim in self._withdraw(lane)]
        self._lanes.clear()
        self._ready.clear()
        await self._courier.give_back(waiting)

    async def _drain(self, grace: float) -> None:
        """Gives back what waits, lets what is under way end, and gives back what does not."""
        await self.give_back_waiting()
        failpoints.hit("drain.begun")
        if self._running:
            await asyncio.wait(list(self._running), timeout=grace)
        late = dict(self._running)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(list(late), timeout=5)
            await self._courier.give_back(list(late.values()))
