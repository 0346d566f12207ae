"""The one place that builds things, and the order in which they start and stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from . import __version__, failpoints, master_keys, startup
from .actions.sent import SentRequests
from .actions.testing import WebhookTester
from .actions.waiting import FirstAttempts
from .actions.watching import Watches
from .config import Config
from .console.parts import Parts
from .console.server import Console
from .delivery.breakers import Breakers
from .delivery.courier import Courier
from .delivery.directory import Directory
from .delivery.dispatcher import Dispatcher
from .delivery.recorder import Recorder
from .domain import trace
from .domain.addresses import AddressPolicy
from .domain.delivery import Record
from .domain.request import Composer
from .domain.sealing import KeyRing
from .domain.url import UrlRules
from .domain.webhook import SettingsRules
from .monitoring.gauges import gauges
from .monitoring.listener import Listener
from .monitoring.metrics import Metrics
from .monitoring.stores import MeteredDeliveries, MeteredEvents
from .monitoring.watch import Watch
from .readings import Looked, readings
from .rpc.api_key_service import ApiKeyService
from .rpc.certificates import Certificates
from .rpc.delivery_service import DeliveryService
from .rpc.door import Door
from .rpc.event_service import EventService
from .rpc.event_type_service import EventTypeService
from .rpc.intake import Intake
from .rpc.server import RpcServer
from .rpc.webhook_service import WebhookService
from .startup import Running as Running
from .startup import StartError
from .store.api_keys import ApiKeys
from .store.backlog import Backlog
from .store.changes import ChangeFeed
from .store.composers import Composers
from .store.database import Database
from .store.deliveries import Deliveries
from .store.event_counts import EventCounts
from .store.event_types import EventTypes, KnownTypes
from .store.events import Events
from .store.expiry import Expiry
from .store.group_commit import GroupCommit
from .store.health import HealthFigures
from .store.known_keys import KnownKeys
from .store.partitions import Partitions
from .store.replay_progress import ReplayProgress
from .store.replays import Replays
from .store.retention import Retention
from .store.revisions import Revisions
from .store.sessions import Sessions
from .store.suspensions import Suspensions
from .store.unanswered import Unanswered
from .store.webhooks import Webhooks
from .upkeep import Upkeep

RECORD_TIMEOUT = 10.0  # seconds for the last outcomes at shutdown; unwritten ones are attempted again

log = structlog.get_logger()


async def serve(config: Config, *, ready: Callable[[Running], None], stop: asyncio.Event) -> None:
    """Serves until `stop` is set, then ends in order. Raises StartError."""
    startup.check_exposure(config)
    startup.check_ports(config)
    startup.raise_file_limit()
    failpoints.arm(config.failpoint)
    async with startup.database_url(config) as (url, shown):
        ring = master_keys.key_ring(config)
        async with startup.unlocked(url, ring) as database:
            await startup.check_keys(config, database)
            with startup.database_errors():
                composer = await Composers(database).note(f"Hookpost/{__version__}", config.signature_header)
            await _Server(config, database, ring, composer).run(shown, ready, stop)
    log.info("server.stopped")


class _Server:
    """All parts of one process, built and wired."""

    def __init__(self, config: Config, database: Database, ring: KeyRing, composer: Composer) -> None:
        self._config = config
        self._database = database
        edge = database.for_edge()  # for calls; the engine has the whole pool
        webhooks = Webhooks(edge, ring, open_types=config.event_types == "open", most=config.max_webhooks)
        event_types = self._event_types = EventTypes(edge)
        metrics = self._metrics = Metrics()
        events = Events(edge, lease=config.lease)
        calls = Deliveries(edge, lease=config.lease)
        deliveries = MeteredDeliveries(database, lease=config.lease, metrics=metrics)
        known_types = self._known_types = KnownTypes(event_types, open_names=config.event_types == "open")
        suspensions = Suspensions(database, Events(database, lease=config.lease))
        policy = AddressPolicy(allow=config.allow_networks, deny=config.deny_networks)
        self._directory = Directory(Webhooks(database, ring))
        self._gate = startup.gate(config, policy)
        self._sender = startup.sender(config, self._gate)
        spans, self._tracing = trace.unrecorded, startup.tracing(config)
        if self._tracing is not None:
            spans, self._sender = self._tracing.spans, self._tracing.traced(self._sender)
        self._recorder = Recorder(deliveries, suspensions, recorded=self._recorded, log_attempts=config.log_attempts)
        self._first_attempts = FirstAttempts(calls)
        courier = Courier(
            deliveries=deliveries,
            directory=self._directory,
            composer=composer,
            sender=self._sender,
            recorder=self._recorder,
            now=database.now,
        )
        breakers = Breakers()
        self._dispatcher = Dispatcher(
            deliveries=deliveries,
            courier=courier,
            recorder=self._recorder,
            breakers=breakers,
            max_in_flight=config.max_in_flight,
            max_waiting=config.max_handed_off,
            lease=config.lease,
            poll_interval=config.poll_interval,
        )
        revisions = Revisions(database, ring)
        self._upkeep = Upkeep(
            database,
            Partitions(database),
            Retention(database, config.lifetimes),
            revisions,
            suspensions,
            Expiry(database),
            config.suspend_after,
            breakers.held,
        )
        self._unanswered = Unanswered(database, lease=config.lease, released=self._dispatcher.wake)
        self._group_commit = GroupCommit(
            MeteredEvents(database, lease=config.lease, metrics=metrics),
            max_queued=config.max_queued_events,
            room=self._dispatcher.room,
            committed=self._dispatcher.accept,
            unanswered=self._unanswered.note,
        )
        rules = SettingsRules(
            UrlRules(config.allow_http, policy), config.signature_header, lambda name: name in known_types
        )
        tester = WebhookTester(
            webhooks=webhooks,
            event_types=event_types,
            rules=rules,
            composer=composer,
            send=self._sender.send,
            now=database.now,
        )
        health = HealthFigures(edge)
        replays = Replays(edge)
        sent = SentRequests(events, revisions, Composers(database), composer)
        self._watches = Watches(ChangeFeed(edge))
        self._keys = KnownKeys(ApiKeys(database), database)
        intake = Intake(known_types, database.now)
        self._rpc = RpcServer(
            WebhookService(webhooks, known_types, rules, health, tester, database.now),
            EventService(
                intake, self._group_commit, events, calls, webhooks, event_types, self._first_attempts, metrics, spans
            ),
            EventTypeService(event_types),
            DeliveryService(
                calls,
                webhooks,
                replays,
                sent,
                self._watches,
                now=database.now,
                wake=self._dispatcher.wake,
                held_for=breakers.held_for,
            ),
            ApiKeyService(ApiKeys(edge)),
            Door(self._keys if config.needs_keys else None),
            metrics,
            certificates=Certificates.of(config.tls_cert, config.tls_key, config.tls_client_ca),
            share_port=config.share_port,
        )
        self._console = Console(
            Parts(
                webhooks=webhooks,
                event_types=event_types,
                known_types=known_types,
                event_counts=EventCounts(edge),
                events=events,
                deliveries=calls,
                replays=replays,
                replay_progress=ReplayProgress(edge),
                health=health,
                backlog=Backlog(edge),
                sent=sent,
                tester=tester,
                watches=self._watches,
                rules=rules,
                now=database.now,
                wake=self._dispatcher.wake,
                held_for=breakers.held_for,
            ),
            self._keys if config.needs_keys else None,
            Sessions(edge),
            hosts=config.console_hosts,
        )
        self._serving = False
        self._database_up = True
        self._watch = Watch(metrics, Backlog(database))
        self._listener = Listener(metrics.registry, lambda: self._serving and self._database_up)
        looked = Looked(self._group_commit, self._dispatcher, self._recorder, self._directory, database, self._watch)
        for gauge in gauges(readings(config, looked, database_up=lambda: self._database_up)):
            metrics.add(gauge)

    def _recorded(self, records: Sequence[Record]) -> None:
        self._dispatcher.recorded(records)
        self._first_attempts.recorded(records)
        self._metrics.recorded(records)

    async def run(self, database: str, ready: Callable[[Running], None], stop: asyncio.Event) -> None:
        """Each part has one task and one owner; a part that fails ends the process, and a supervisor restarts it."""
        with startup.database_errors():
            await self._event_types.seed()
            await self._known_types.refresh()
            await self._upkeep.once()
        grace = self._config.shutdown_grace
        try:
            async with asyncio.TaskGroup() as background:
                helpers = [
                    background.create_task(self._directory.run(), name="directory"),
                    background.create_task(self._keys.run(), name="keys"),
                    background.create_task(self._upkeep.run(), name="upkeep"),
                    background.create_task(self._unanswered.run(), name="unanswered"),
                    background.create_task(self._watch_health(), name="health"),
                ]
                recorder = background.create_task(self._recorder.run(), name="recorder")
                committer = background.create_task(self._group_commit.run(), name="group-commit")
                dispatcher = background.create_task(self._dispatcher.run(grace), name="dispatcher")
                address = await startup.listen_grpc(self._rpc, self._config.grpc_address)
                metrics = await startup.listen(self._listener, self._config.metrics_address, startup.METRICS_SETTING)
                console = await startup.listen(self._console, self._config.console_address, startup.CONSOLE_SETTING)
                self._gate.own_ports.update(each.port for each in (address, metrics, console) if each)
                if metrics is not None:
                    helpers.insert(0, background.create_task(self._watch.run(), name="watch"))
                await self._rpc.set_serving(True)
                self._serving = True
                log.info(
                    "server.started",
                    grpc=str(address),
                    metrics=str(metrics or "off"),
                    console=str(console or "off"),
                    database=database,
                    sender=self._config.sender,
                    open_files=startup.open_files(),
                    version=__version__,
                )
                ready(Running(address, metrics, console, database))
                await stop.wait()

                log.info("server.stopping", in_flight=self._dispatcher.in_flight)
                self._serving = False
                helpers.pop().cancel()  # it must not say SERVING again
                await self._rpc.set_serving(False)
                self._dispatcher.stop()
                self._watches.stop()
                self._first_attempts.stop()
                await self._console.stop()
                await self._rpc.stop(grace)
                self._group_commit.stop()
                await asyncio.wait([committer, dispatcher])
                await self._dispatcher.give_back_waiting()
                self._recorder.stop()
                await asyncio.wait([recorder], timeout=RECORD_TIMEOUT)
                if recorder.cancel():
                    log.warning("recorder.abandoned")
                for helper in helpers:
                    helper.cancel()
        except* StartError as group:
            raise group.exceptions[0] from None
        finally:
            await self._rpc.stop(0)  # when a part failed; calls under way must not hang
            await self._console.stop()
            await self._sender.close()
            await self._listener.stop()
            if self._tracing is not None:
                await asyncio.to_thread(self._tracing.close)

    async def _watch_health(self) -> None:
        """SERVING only while the database answers."""
        while True:
            await asyncio.sleep(2)
            if (healthy := await self._database.healthy()) != self._database_up:
                self._database_up = healthy
                await self._rpc.set_serving(healthy)
