"""The one place that builds things, and the order in which they start and stop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import urllib.parse
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import asyncpg
import structlog

from . import __version__
from .actions.sent import SentRequests
from .actions.testing import WebhookTester
from .actions.waiting import FirstAttempts
from .actions.watching import Watches
from .config import Address, Config
from .delivery.aiohttp_sender import AiohttpSender
from .delivery.breakers import Breakers
from .delivery.courier import Courier
from .delivery.directory import Directory
from .delivery.dispatcher import Dispatcher
from .delivery.recorder import Recorder
from .domain import errors
from .domain.addresses import AddressPolicy
from .domain.delivery import Record
from .domain.request import Composer
from .domain.url import UrlRules
from .domain.webhook import SettingsRules
from .embedded import EmbeddedPostgres, EmbeddedPostgresError
from .rpc.api_key_service import ApiKeyService
from .rpc.delivery_service import DeliveryService
from .rpc.event_service import EventService
from .rpc.event_type_service import EventTypeService
from .rpc.intake import Intake
from .rpc.server import RpcServer
from .rpc.webhook_service import WebhookService
from .store import migrate as migrations
from .store.changes import ChangeFeed
from .store.database import TRANSIENT, Database
from .store.deliveries import Deliveries
from .store.event_types import EventTypes, KnownTypes
from .store.events import Events
from .store.expiry import Expiry
from .store.group_commit import GroupCommit
from .store.health import HealthFigures
from .store.partitions import Partitions
from .store.replays import Replays
from .store.suspensions import Suspensions
from .store.webhooks import Webhooks
from .upkeep import Upkeep

CONNECT_TIMEOUT = 10.0  # seconds
RECORD_TIMEOUT = 10.0  # seconds for the last outcomes at shutdown; unwritten ones are attempted again

log = structlog.get_logger()


class StartError(Exception):
    """The server can't start. `hint` says what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Running:
    """Where a server that has started can be found."""

    grpc_address: Address
    database: str  # for people; without password


async def serve(config: Config, *, ready: Callable[[Running], None], stop: asyncio.Event) -> None:
    """Serves until `stop` is set, then ends in order. Raises StartError."""
    _check_free(config.grpc_address)
    async with _database_url(config) as (url, shown):
        await _migrate(url)
        database = await _open(url)
        try:
            await _Server(config, database).run(shown, ready, stop)
        finally:
            await database.close()
    log.info("server.stopped")


async def migrate(config: Config, *, check: bool = False) -> list[str]:
    """Brings the schema up to date, or with `check` only says what is missing. Raises StartError."""
    async with _database_url(config) as (url, _):
        return await _migrate(url, check=check)


class _Server:
    """All parts of one process, built and wired."""

    def __init__(self, config: Config, database: Database) -> None:
        self._config = config
        self._database = database
        webhooks = Webhooks(database)
        event_types = self._event_types = EventTypes(database)
        events = Events(database, lease=config.lease)
        deliveries = Deliveries(database, lease=config.lease)
        known_types = self._known_types = KnownTypes(event_types, open_names=config.event_types == "open")
        suspensions = Suspensions(database, events)
        policy = AddressPolicy(allow=config.allow_networks, deny=config.deny_networks)
        self._directory = Directory(webhooks)
        self._sender = AiohttpSender(policy)
        self._recorder = Recorder(deliveries, suspensions, recorded=self._recorded)
        self._first_attempts = FirstAttempts(deliveries)
        composer = Composer(f"Hookpost/{__version__}", config.signature_header)
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
        self._upkeep = Upkeep(
            database, Partitions(database), suspensions, Expiry(database), config.suspend_after, breakers.held
        )
        self._group_commit = GroupCommit(
            events, max_queued=config.max_queued_events, room=self._dispatcher.room, committed=self._dispatcher.accept
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
        self._watches = Watches(ChangeFeed(database))
        intake = Intake(known_types, database.now)
        self._rpc = RpcServer(
            WebhookService(webhooks, known_types, rules, HealthFigures(database), tester, database.now),
            EventService(intake, self._group_commit, events, deliveries, webhooks, event_types, self._first_attempts),
            EventTypeService(event_types),
            DeliveryService(
                deliveries,
                webhooks,
                Replays(database),
                SentRequests(events, webhooks, composer),
                self._watches,
                now=database.now,
                wake=self._dispatcher.wake,
                held_for=breakers.held_for,
            ),
            ApiKeyService(),
        )

    def _recorded(self, records: Sequence[Record]) -> None:
        self._dispatcher.recorded(records)
        self._first_attempts.recorded(records)

    async def run(self, database: str, ready: Callable[[Running], None], stop: asyncio.Event) -> None:
        """Each part has one task and one owner; a part that fails ends the process, and a supervisor restarts it."""
        with _start_errors("the database"):
            await self._event_types.seed()
            await self._known_types.refresh()
            await self._upkeep.once()
        grace = self._config.shutdown_grace
        try:
            async with asyncio.TaskGroup() as background:
                helpers = [
                    background.create_task(self._directory.run(), name="directory"),
                    background.create_task(self._upkeep.run(), name="upkeep"),
                    background.create_task(self._watch_health(), name="health"),
                ]
                recorder = background.create_task(self._recorder.run(), name="recorder")
                committer = background.create_task(self._group_commit.run(), name="group-commit")
                dispatcher = background.create_task(self._dispatcher.run(grace), name="dispatcher")
                try:
                    port = await self._rpc.start(str(self._config.grpc_address))
                except OSError as error:
                    raise _cannot_listen(self._config.grpc_address) from error
                address = replace(self._config.grpc_address, port=port)
                await self._rpc.set_serving(True)
                log.info("server.started", grpc=str(address), database=database, version=__version__)
                ready(Running(address, database))
                await stop.wait()

                log.info("server.stopping", in_flight=self._dispatcher.in_flight)
                helpers.pop().cancel()  # it must not say SERVING again
                await self._rpc.set_serving(False)
                self._dispatcher.stop()
                self._watches.stop()
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
            await self._sender.close()

    async def _watch_health(self) -> None:
        """SERVING only while the database answers."""
        serving = True
        while True:
            await asyncio.sleep(2)
            if (healthy := await self._database.healthy()) != serving:
                serving = healthy
                await self._rpc.set_serving(serving)


def _check_free(address: Address) -> None:
    """Says that a port is taken before a database is started for nothing. Raises StartError."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
            probe.listen()
        except OSError as error:
            raise _cannot_listen(address) from error


def _cannot_listen(address: Address) -> StartError:
    return StartError(
        f"{address} can't be listened on: the port is taken or not allowed",
        "choose another with --grpc-address or HOOKPOST_GRPC_ADDRESS=HOST:PORT, or stop what uses it",
    )


@contextlib.asynccontextmanager
async def _database_url(config: Config) -> AsyncIterator[tuple[str, str]]:
    """The database's address and what to show of it; starts the embedded one if none is set."""
    if config.database_url:
        yield config.database_url, _shown(config.database_url)
        return
    embedded = EmbeddedPostgres(config.data_dir)
    try:
        url = await embedded.start()
    except EmbeddedPostgresError as error:
        raise StartError(str(error), error.hint) from error
    try:
        yield url, f"embedded, {config.data_dir}"
    finally:
        await embedded.stop()


def _shown(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or urllib.parse.parse_qs(parts.query).get("host", ["local socket"])[0]
    return f"{host}{parts.path}"


async def _migrate(url: str, *, check: bool = False) -> list[str]:
    with _start_errors("the database"):
        connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT)
        try:
            done = await (migrations.pending(connection) if check else migrations.migrate(connection))
        except migrations.MigrationError as error:
            raise StartError(str(error), error.hint) from error
        finally:
            await connection.close(timeout=5)
        return [str(migration) for migration in done]


async def _open(url: str) -> Database:
    with _start_errors("the database"):
        return await Database.open(url)


@contextlib.contextmanager
def _start_errors(what: str) -> Iterator[None]:
    try:
        yield
    except (*TRANSIENT, errors.DatabaseUnavailable, asyncpg.PostgresError, ValueError) as error:
        raise StartError(
            f"{what} can't be used: {error or type(error).__name__}",
            "check HOOKPOST_DATABASE_URL (postgresql://user:password@host:5432/database) and that PostgreSQL runs; "
            "leave it empty for an embedded one",
        ) from error
