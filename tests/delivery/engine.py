"""The delivery engine as the server builds it, without the edges: real database, real sender, real receivers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any
from uuid import UUID

from hookpost_server.delivery.aiohttp_sender import AiohttpSender
from hookpost_server.delivery.breakers import Breakers
from hookpost_server.delivery.courier import Courier
from hookpost_server.delivery.directory import Directory
from hookpost_server.delivery.dispatcher import Dispatcher
from hookpost_server.delivery.gate import Gate
from hookpost_server.delivery.recorder import Recorder
from hookpost_server.delivery.sender import Sender
from hookpost_server.domain import ids
from hookpost_server.domain.delivery import Delivery, Record, State
from hookpost_server.domain.event import Event
from hookpost_server.domain.request import Composer
from hookpost_server.domain.webhook import Webhook
from hookpost_server.store.database import Database
from hookpost_server.store.deliveries import Deliveries
from hookpost_server.store.events import Events
from hookpost_server.store.group_commit import GroupCommit
from hookpost_server.store.suspensions import Suspensions
from hookpost_server.store.unanswered import Unanswered
from hookpost_server.store.webhooks import Webhooks
from tests.keys import RING
from tests.store import making
from tests.store.making import TENANT

from .conftest import LOCAL

SIGNATURE = "hookpost-signature-sha-256"


class Engine:
    """One process's engine. `running()` starts it, and stops it in the server's order."""

    def __init__(
        self,
        database: Database,
        *,
        lease: float = 45.0,
        max_in_flight: int = 64,
        max_waiting: int = 10_000,
        poll_interval: float = 0.05,
        sender: Sender | None = None,
        breakers: Breakers | None = None,
    ) -> None:
        self.webhooks = Webhooks(database, RING)
        self.events = Events(database, lease=lease)
        self.deliveries = Deliveries(database, lease=lease)
        self.suspensions = Suspensions(database, self.events)
        self.directory = Directory(self.webhooks)
        self.sender = sender or AiohttpSender(Gate(LOCAL))
        self.breakers = breakers or Breakers()
        self.written: list[Record] = []
        self.recorder = Recorder(self.deliveries, self.suspensions, recorded=self._recorded)
        self.courier = Courier(
            deliveries=self.deliveries,
            directory=self.directory,
            composer=Composer("Hookpost/test", SIGNATURE),
            sender=self.sender,
            recorder=self.recorder,
            now=database.now,
            spread=lambda: 0.0,
        )
        self.dispatcher = Dispatcher(
            deliveries=self.deliveries,
            courier=self.courier,
            recorder=self.recorder,
            breakers=self.breakers,
            max_in_flight=max_in_flight,
            max_waiting=max_waiting,
            lease=lease,
            poll_interval=poll_interval,
        )
        self.unanswered = Unanswered(database, lease=lease, released=self.dispatcher.wake)
        self.group = GroupCommit(
            self.events,
            max_queued=10_000,
            room=self.dispatcher.room,
            committed=self.dispatcher.accept,
            unanswered=self.unanswered.note,
        )
        self.max_waiting = max_waiting
        self.grace = making.PATIENCE
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def _recorded(self, records: Sequence[Record]) -> None:
        self.written += records
        self.dispatcher.recorded(records)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Engine]:
        parts: dict[str, Any] = {
            "directory": self.directory.run(),
            "recorder": self.recorder.run(),
            "group": self.group.run(),
            "unanswered": self.unanswered.run(),
            "dispatcher": self.dispatcher.run(self.grace),
        }
        self.tasks = {name: asyncio.create_task(part) for name, part in parts.items()}
        await asyncio.sleep(0)  # all have begun
        try:
            yield self
        finally:
            await self.stop()

    async def stop(self) -> None:
        """As the server does. A part that has failed fails the test."""
        async with asyncio.timeout(making.PATIENCE * 2):
            self.dispatcher.stop()
            self.group.stop()
            await asyncio.wait([self.tasks["group"], self.tasks["dispatcher"]])
            await self.dispatcher.give_back_waiting()
            self.recorder.stop()
            await asyncio.wait([self.tasks["recorder"]])
            self.tasks["directory"].cancel()
            self.tasks["unanswered"].cancel()
            await self.sender.close()
            results = await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        faults = [r for r in results if isinstance(r, BaseException) and not isinstance(r, asyncio.CancelledError)]
        if faults:
            raise faults[0]

    async def webhook(self, url: str, **given: Any) -> Webhook:
        return await making.webhook(self.webhooks, url=url, **given)

    async def emit(self, count: int = 1, kind: str = "User.Created", **given: Any) -> list[Event]:
        """Through group commit, so that deliveries are handed over."""
        made = [making.event(kind, **given) for _ in range(count)]
        await asyncio.gather(*(self.group.emit(event) for event in made))
        return made

    async def ended(self, event: Event, webhook: Webhook) -> Delivery:
        """The delivery, once it has ended."""
        return await self.delivery(event, webhook, lambda found: found.state is not State.PENDING)

    async def delivery(self, event: Event, webhook: Webhook, true: Callable[[Delivery], bool]) -> Delivery:
        """The delivery, once that is so."""
        delivery_id: UUID = ids.delivery(event.id, webhook.id)

        async def found() -> Delivery | None:
            now = await self.deliveries.get(TENANT, delivery_id)
            return now if true(now) else None

        result: Delivery = await making.until(found, f"delivery {delivery_id}")
        return result
