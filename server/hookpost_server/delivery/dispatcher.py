"""Decides which delivery is attempted when: fair turns between tenants and between their webhooks, caps, bounds.

Claims come from two sides. Those of an event just committed are handed over in memory, already leased. Everything
else (retries, orphans of a dead process, what memory had no room for) is claimed from the database, where waiting
work is found by polling; hints only make it sooner.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from functools import partial

import asyncpg
import structlog

from .. import failpoints
from ..domain import breaker, errors
from ..domain.delivery import Claim, Record
from ..domain.webhook import MAX_TIMEOUT
from ..store.cursor import START, Cursor, Wanted
from ..store.deliveries import Deliveries
from ..store.events import Room
from .alarm import Alarm
from .breakers import Breakers
from .courier import Courier
from .lane import Lane, Load
from .lanes import Lanes
from .pace import Pace
from .recorder import Recorder
from .returns import Returns

MAX_WAITING_BYTES = 64 * 1024 * 1024  # of payloads in memory
CLAIM_EACH = 64  # deliveries of one webhook in one claim
LOOK_INTERVAL = 1.0  # seconds until claims that wait are given back when their webhook was stopped or deleted

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
        breakers: Breakers,
        max_in_flight: int,
        max_waiting: int,
        lease: float,
        poll_interval: float,
    ) -> None:
        self._deliveries = deliveries
        self._courier = courier
        self._returns = Returns(courier)
        self._breakers = breakers
        self._max_in_flight = max_in_flight
        self._max_waiting = max_waiting
        self._poll_interval = poll_interval
        # A claim must begin its attempt so long before its lease ends that the attempt can end too.
        self._lanes = Lanes(breakers, max_in_flight, horizon=(lease - MAX_TIMEOUT) * 0.6)
        self._turns = self._lanes.turns
        self._in_flight = 0
        self._running: dict[asyncio.Task[None], Claim] = {}
        self._behind = False  # the database may hold due work that memory had no room for
        self._pace = Pace(lambda: recorder.full, self._start)
        self._alarm = Alarm()
        self._stopping = False
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def in_flight(self) -> int:
        return self._in_flight

    def load(self) -> Load:
        """What is held in memory now."""
        return Load(self._lanes.waiting, self._lanes.waiting_bytes, len(self._lanes))

    @property
    def breakers(self) -> Mapping[breaker.State, int]:
        """How many webhooks are held back: open, and half open."""
        return self._breakers.counts

    def room(self) -> Room:
        """What can be handed over now."""
        if self._stopping or self._tasks is None or self._lanes.waiting_bytes > MAX_WAITING_BYTES:
            return Room(0)
        free = max(0, self._max_waiting - self._lanes.waiting)
        full_tenants = self._turns.full(free, self._max_waiting) if self._turns.several else []
        return Room(free, [*self._lanes.full(), *self._breakers.held()], full_tenants)

    def accept(self, claims: Sequence[Claim], left_in_queue: bool) -> None:
        """Takes over claims of events just committed; more may be left in the database."""
        self._take(claims)
        over = [] if self._stopping else self._lanes.overflow(CLAIM_EACH)
        self._return(over)
        self._withhold()
        if left_in_queue or over:
            self._behind = True
            self._alarm.ring()

    def wake(self) -> None:
        """Deliveries may have become due: looks at once."""
        self._behind = True
        self._alarm.ring()

    def recorded(self, records: Sequence[Record]) -> None:
        """Looks again when the first of these retries is due."""
        delays = [record.conclusion.delay for record in records if record.conclusion.delay is not None]
        if delays:
            self._alarm.ring_in(min(delays))

    async def run(self, grace: float) -> None:
        """Until `stop`: then claims no more, lets attempts end for `grace` seconds and gives the rest back."""
        async with asyncio.TaskGroup() as self._tasks:
            looking = self._tasks.create_task(self._look_after_waiting())
            await self._claim_until_stopped()
            looking.cancel()
            await self._drain(grace)

    def stop(self) -> None:
        self._stopping = True
        self._alarm.ring()

    async def _claim_until_stopped(self) -> None:
        cursor = START
        found = False  # anything in this round
        while not self._stopping:
            wanted = self._wanted()
            claims: list[Claim] = []
            if wanted.room > 0:
                claims, cursor = await self._claim(cursor, wanted)
                found = found or bool(claims)
                self._behind = found or not cursor.round_complete or bool(wanted.full or wanted.full_tenants)
                self._take(claims)
                self._withhold()
            if not claims and (wanted.room <= 0 or (cursor.round_complete and not found)):
                await self._alarm.sleep(self._poll_interval)
            if cursor.round_complete:
                found = False

    def _wanted(self) -> Wanted:
        """What memory has room for. A tenant counts for half of it at most, and gets no more than is left free."""
        most = 2 * self._max_in_flight
        free = most - self._turns.held(self._max_in_flight)
        return Wanted(
            room=free,
            room_each=CLAIM_EACH,
            room_tenant=max(1, free // 2),
            full=self._lanes.full(),
            full_tenants=self._turns.full(free, self._max_in_flight),
            held=self._lanes.held(),
        )

    async def _claim(self, cursor: Cursor, wanted: Wanted) -> tuple[list[Claim], Cursor]:
        try:
            return await self._deliveries.claim(cursor, wanted)
        except errors.DatabaseUnavailable as error:
            log.warning("claim.postponed", error=error.message)
        except asyncpg.PostgresError:
            log.exception("claim.failed")  # a bug; attempts already handed over go on all the same
        return [], START

    def _take(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            self._breakers.changed(claim.webhook_id, claim.webhook_version)
            self._offer(self._lanes.put(claim))
        self._start()

    async def _look_after_waiting(self) -> None:
        """Looks at the webhooks of lanes that start nothing, for a rate limit or a slow receiver, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_INTERVAL)
            async with asyncio.TaskGroup() as looks:
                for lane in self._lanes.unmoved():
                    looks.create_task(self._look(lane, lane.waiting[0].webhook_version))

    async def _look(self, lane: Lane, version: int) -> None:
        with contextlib.suppress(errors.DatabaseUnavailable):  # it will be looked at again
            await self._courier.active(lane.webhook_id, version, partial(self._lanes.emptied, lane))
        self._forget(lane)

    def _offer(self, lane: Lane) -> None:
        """Gives a lane its turn, once, if it can use one."""
        if not lane.ready and lane.startable and self._breakers.lets(lane.webhook_id):
            lane.ready = True
            self._turns.offer(lane)

    def _start(self) -> None:
        """Starts attempts in turn, while there are slots."""
        if self._tasks is None or self._stopping:
            return
        loop = asyncio.get_running_loop()
        while self._in_flight < self._max_in_flight and (lane := self._turns.next()):
            if self._pace.holds():
                return
            self._turns.take()
            if lane.interval and (wait := lane.next_start - loop.time()) > 0:
                loop.call_later(wait, self._resume, lane)  # it stays marked as ready, so that it is not offered twice
                continue
            lane.ready = False
            if not lane.startable or not self._breakers.lets(lane.webhook_id):
                continue
            claim = self._lanes.take(lane)
            lane.started = True
            self._pace.begin()
            epoch = self._breakers.begin(lane.webhook_id)
            lane.in_flight += 1
            self._turns.tenant(lane.tenant_id).in_flight += 1
            self._in_flight += 1
            lane.next_start = max(loop.time(), lane.next_start) + lane.interval
            self._offer(lane)
            task = self._tasks.create_task(self._attempt(lane, claim, epoch))
            self._running[task] = claim

    def _resume(self, lane: Lane) -> None:
        """Back in turn after its rate limit held it."""
        lane.ready = False
        self._offer(lane)
        self._start()

    async def _attempt(self, lane: Lane, claim: Claim, epoch: int) -> None:
        record: Record | None = None
        try:
            webhook = await self._courier.webhook_of(claim, partial(self._lanes.emptied, lane))
            if webhook is not None:
                lane.configure(webhook.settings)
                self._offer(lane)
                self._start()
                record = await self._courier.attempt(claim, webhook)
                if record is not None:
                    lane.learn(record.latency)
        finally:
            if task := asyncio.current_task():
                self._running.pop(task, None)
            self._in_flight -= 1
            lane.in_flight -= 1
            tenant = self._turns.tenant(lane.tenant_id)
            tenant.in_flight -= 1
            if self._breakers.end(lane.webhook_id, epoch, record):
                self._withhold()
            self._offer(lane)
            self._forget(lane)
            if self._behind and tenant.waiting < self._max_in_flight and lane.held < 2 * lane.limit:
                self._alarm.ring()
            self._start()

    def _withhold(self) -> None:
        """What waits for webhooks that a breaker holds goes back to the queue."""
        for lane in [] if self._stopping else self._lanes.withheld():
            self._return(self._lanes.emptied(lane))
            self._forget(lane)

    def _forget(self, lane: Lane) -> None:
        """Drops a lane that has nothing to do, as soon as its rate limit would let the next attempt start."""
        if not lane.idle:
            return
        loop = asyncio.get_running_loop()
        if lane.interval and (wait := lane.next_start - loop.time()) > 0:
            loop.call_later(wait, self._forget, lane)
        else:
            self._lanes.drop(lane)
            self._turns.forget(lane.tenant_id)

    async def give_back_waiting(self) -> None:
        """Gives back what waits; to be called once more after `run`, for what a commit under way has handed over."""
        await self._courier.give_back(self._lanes.clear())

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

    def _return(self, claims: Sequence[Claim]) -> None:
        if self._tasks is not None and self._returns.add(claims):
            self._tasks.create_task(self._returns.run())
