"""The one place that builds things, and the order in which they start and stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from . import __version__, failpoints, listening, master_keys, startup
from .actions.fresh import FreshRequests
from .actions.sent import SentRequests
from .actions.testing import WebhookTester
from .actions.waiting import FirstAttempts
from .actions.watching import Watches
from .config import Config
from .console.node import Node
from .console.parts import Parts, Records
from .console.server import Console
from .domain import trace
from .domain.addresses import AddressPolicy
from .domain.delivery import Record
from .domain.request import Composer
from .domain.sealing import KeyRing
from .domain.url import UrlRules
from .domain.webhook import SettingsRules
from .engine import Engine
from .listening import Running as Running
from .monitoring.gauges import gauges
from .monitoring.listener import Listener
from .monitoring.metrics import Metrics
from .monitoring.pulse import Pulse
from .monitoring.stall import Stall
from .monitoring.watch import Watch
from .readings import readings
from .rpc.api_key_service import ApiKeyService
from .rpc.certificates import Certificates
from .rpc.delivery_service import DeliveryService
from .rpc.door import Door
from .rpc.event_service import EventService
from .rpc.event_type_service import EventTypeService
from .rpc.intake import Intake
from .rpc.server import RpcServer
from .rpc.webhook_service import WebhookService
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
from .store.health import HealthFigures
from .store.known_keys import KnownKeys
from .store.partitions import Partitions
from .store.replay_progress import ReplayProgress
from .store.replays import Replays
from .store.retention import Retention
from .store.revisions import Revisions
from .store.sessions import Sessions
from .store.webhooks import Webhooks
from .upkeep import Upkeep

RECORD_TIMEOUT = 10.0  # seconds for the last outcomes at shutdown; unwritten ones are attempted again

log = structlog.get_logger()


async def serve(config: Config, *, ready: Callable[[Running], None], stop: asyncio.Event) -> None:
    """Serves until `stop` is set, then ends in order. Raises StartError."""
    listening.check_exposure(config)
    listening.check_ports(config)
    listening.raise_file_limit()
    failpoints.arm(config.failpoint)
    async with startup.database_url(config) as (url, shown):
        ring = master_keys.key_ring(config)
        async with startup.unlocked(url, ring) as database:
            await listening.check_keys(config, database)
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
        known_types = self._known_types = KnownTypes(event_types, open_names=config.event_types == "open")
        policy = AddressPolicy(allow=config.allow_networks, deny=config.deny_networks)
        self._gate = startup.gate(config, policy)
        self._sender = startup.sender(config, self._gate)
        spans, self._tracing = trace.unrecorded, startup.tracing(config)
        if self._tracing is not None:
            spans, self._sender = self._tracing.spans, self._tracing.traced(self._sender)
        self._first_attempts = FirstAttempts(calls)
        engine = self._engine = Engine(config, database, ring, composer, self._sender, metrics, self._recorded)
        revisions = Revisions(database, ring)
        self._upkeep = Upkeep(
            database,
            Partitions(database),
            Retention(database, config.lifetimes),
            revisions,
            engine.suspensions,
            Expiry(database),
            config.suspend_after,
            engine.breakers.held,
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
                intake, engine.group_commit, events, calls, webhooks, event_types, self._first_attempts, metrics, spans
            ),
            EventTypeService(event_types),
            DeliveryService(
                calls,
                webhooks,
                replays,
                sent,
                self._watches,
                now=database.now,
                wake=engine.dispatcher.wake,
                held_for=engine.breakers.held_for,
            ),
            ApiKeyService(ApiKeys(edge)),
            Door(self._keys if config.needs_keys else None),
            metrics,
            certificates=Certificates.of(config.tls_cert, config.tls_key, config.tls_client_ca),
            share_port=config.share_port,
        )
        self._serving = False
        self._pulse = Pulse(database.healthy, self._rpc.set_serving)
        self._watch = Watch(metrics, Backlog(database))
        self._stall = Stall(Backlog(database), lambda: engine.dispatcher.in_flight, engine.breakers.held)
        self._listener = Listener(metrics.registry, lambda: self._serving and self._pulse.up)
        figures = readings(config, engine, database, self._watch, database_up=lambda: self._pulse.up)
        for gauge in gauges(figures):
            metrics.add(gauge)
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
                fresh=FreshRequests(webhooks, events, composer, database.now),
                records=Records.of(edge),
                tester=tester,
                watches=self._watches,
                rules=rules,
                now=database.now,
                wake=engine.dispatcher.wake,
                held_for=engine.breakers.held_for,
                node=Node(figures, config.lifetimes, str(config.grpc_address), tls=config.tls_cert is not None),
            ),
            self._keys if config.needs_keys else None,
            Sessions(edge),
            hosts=config.console_hosts,
            alarm=lambda: self._stall.seconds,
        )

    def _recorded(self, records: Sequence[Record]) -> None:
        self._first_attempts.recorded(records)
        self._stall.recorded()
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
                    background.create_task(self._engine.directory.run(), name="directory"),
                    background.create_task(self._keys.run(), name="keys"),
                    background.create_task(self._upkeep.run(), name="upkeep"),
                    background.create_task(self._engine.unanswered.run(), name="unanswered"),
                    background.create_task(self._stall.run(), name="stall"),
                    background.create_task(self._pulse.run(), name="pulse"),
                ]
                recorder = background.create_task(self._engine.recorder.run(), name="recorder")
                committer = background.create_task(self._engine.group_commit.run(), name="group-commit")
                dispatcher = background.create_task(self._engine.dispatcher.run(grace), name="dispatcher")
                address = await listening.start_grpc(self._rpc, self._config.grpc_address)
                metrics = await listening.start(self._listener, self._config.metrics_address, listening.METRICS_SETTING)
                console = await listening.start(self._console, self._config.console_address, listening.CONSOLE_SETTING)
                self._gate.own_ports.update(each.port for each in (address, metrics, console) if each)
                if console is not None:
                    helpers.insert(0, background.create_task(self._console.warm_up(), name="console-templates"))
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
                    open_files=listening.open_files(),
                    version=__version__,
                )
                ready(Running(address, metrics, console, database))
                await stop.wait()

                log.info("server.stopping", in_flight=self._engine.dispatcher.in_flight)
                self._serving = False
                helpers.pop().cancel()  # it must not say SERVING again
                await self._rpc.set_serving(False)
                self._engine.dispatcher.stop()
                self._watches.stop()
                self._first_attempts.stop()
                await self._console.stop()
                await self._rpc.stop(grace)
                self._engine.group_commit.stop()
                await asyncio.wait([committer, dispatcher])
                await self._engine.dispatcher.give_back_waiting()
                self._engine.recorder.stop()
                await asyncio.wait([recorder], timeout=RECORD_TIMEOUT)
                if recorder.cancel():
                    log.warning("recorder.abandoned")
                for helper in helpers:
                    helper.cancel()
        except BaseExceptionGroup as group:
            # Not `except*`: what that raises comes in a group again before Python 3.11.4.
            if (start := group.subgroup(StartError)) is not None:
                raise start.exceptions[0] from None
            raise
        finally:
            await self._rpc.stop(0)  # when a part failed; calls under way must not hang
            await self._console.stop()
            await self._sender.close()
            await self._listener.stop()
            if self._tracing is not None:
                await asyncio.to_thread(self._tracing.close)
