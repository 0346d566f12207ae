"""What accepts events and delivers them, wired together: from the group commit to the recorder."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .config import Config
from .delivery.breakers import Breakers
from .delivery.courier import Courier
from .delivery.directory import Directory
from .delivery.dispatcher import Dispatcher
from .delivery.recorder import Recorder
from .delivery.sender import Sender
from .domain.delivery import Record
from .domain.request import Composer
from .domain.sealing import KeyRing
from .monitoring.metrics import Metrics
from .monitoring.stores import MeteredDeliveries, MeteredEvents
from .store.database import Database
from .store.events import Events
from .store.group_commit import GroupCommit
from .store.suspensions import Suspensions
from .store.unanswered import Unanswered
from .store.webhooks import Webhooks


class Engine:
    """The parts, which have no life before app.py runs them. They have the whole pool of connections."""

    def __init__(
        self,
        config: Config,
        database: Database,
        ring: KeyRing,
        composer: Composer,
        sender: Sender,
        metrics: Metrics,
        recorded: Callable[[Sequence[Record]], None],
    ) -> None:
        """`recorded` is told of outcomes once they are written."""
        self._told = recorded
        deliveries = MeteredDeliveries(database, lease=config.lease, metrics=metrics)
        self.suspensions = Suspensions(database, Events(database, lease=config.lease))
        self.directory = Directory(Webhooks(database, ring))
        self.recorder = Recorder(
            deliveries, self.suspensions, recorded=self._recorded, log_attempts=config.log_attempts
        )
        self.breakers = Breakers()
        courier = Courier(
            deliveries=deliveries,
            directory=self.directory,
            composer=composer,
            sender=sender,
            recorder=self.recorder,
            now=database.now,
        )
        self.dispatcher = Dispatcher(
            deliveries=deliveries,
            courier=courier,
            recorder=self.recorder,
            breakers=self.breakers,
            max_in_flight=config.max_in_flight,
            max_waiting=config.max_handed_off,
            lease=config.lease,
            poll_interval=config.poll_interval,
        )
        self.unanswered = Unanswered(database, lease=config.lease, released=self.dispatcher.wake)
        self.group_commit = GroupCommit(
            MeteredEvents(database, lease=config.lease, metrics=metrics),
            max_queued=config.max_queued_events,
            room=self.dispatcher.room,
            committed=self.dispatcher.accept,
            unanswered=self.unanswered.note,
        )

    def _recorded(self, records: Sequence[Record]) -> None:
        self.dispatcher.recorded(records)
        self._told(records)
