"""What comes before serving: a database that answers, its tables up to date, its secrets readable, a sender."""

from __future__ import annotations

import contextlib
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, ClassVar

import asyncpg
import structlog

from .config import Config
from .delivery.aiohttp_sender import AiohttpSender
from .delivery.gate import Gate
from .delivery.native_sender import NativeSender
from .delivery.sender import Sender
from .domain import errors
from .domain.addresses import AddressPolicy
from .domain.sealing import KeyRing
from .embedded import EmbeddedPostgres, EmbeddedPostgresError, url_of_running
from .store import migrate as migrations
from .store.database import TRANSIENT, Database
from .store.vault import Vault

if TYPE_CHECKING:
    from .monitoring.tracing import Tracing

CONNECT_TIMEOUT = 10.0  # seconds

log = structlog.get_logger()


class StartError(Exception):
    """The server can't start. `hint` says what to do about it, `exit_code` how the process ends."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class MasterKeyError(StartError):
    """The master keys are missing, malformed, or not those of the database. Never quotes one."""

    exit_code = 78  # EX_CONFIG


@contextlib.asynccontextmanager
async def database_url(config: Config) -> AsyncIterator[tuple[str, str]]:
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


@contextlib.asynccontextmanager
async def any_database_url(config: Config) -> AsyncIterator[str]:
    """As `database_url`, but joins the embedded one that another process runs there."""
    if not config.database_url and (url := url_of_running(config.data_dir)):
        yield url
        return
    async with database_url(config) as (url, _):
        yield url


def _shown(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or urllib.parse.parse_qs(parts.query).get("host", ["local socket"])[0]
    return f"{host}{parts.path}"


async def migrate(url: str, *, check: bool = False) -> list[str]:
    """Brings the schema up to date, or with `check` only says what is missing. Raises StartError."""
    with database_errors():
        connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT)
        try:
            done = await (migrations.pending(connection) if check else migrations.migrate(connection))
        except migrations.MigrationError as error:
            raise StartError(str(error), error.hint) from error
        finally:
            await connection.close(timeout=5)
        return [str(migration) for migration in done]


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """The pool. Raises StartError."""
    with database_errors():
        database = await Database.open(url)
    try:
        yield database
    finally:
        await database.close()


@contextlib.asynccontextmanager
async def unlocked(url: str, ring: KeyRing) -> AsyncIterator[Database]:
    """The pool, on tables that are up to date and with secrets that these keys open. Raises StartError."""
    await migrate(url)
    async with opened(url) as database:
        await _unlock(database, ring)
        yield database


async def _unlock(database: Database, ring: KeyRing) -> None:
    vault = Vault(database, ring)
    with database_errors():
        if missing := await vault.admit():
            raise MasterKeyError(
                f"the database is encrypted with master key {', '.join(each.hex() for each in missing)}, and the "
                f"server was given {', '.join(map(str, ring.keys))} (ids, made of the keys)",
                "give it that key too, after the one that is to encrypt from now on, in HOOKPOST_MASTER_KEYS; "
                "hookpost rewrap then makes it unnecessary",
            )
        if sealed := await vault.seal_all():
            log.info("secrets.sealed", secrets=sealed)


def gate(config: Config, policy: AddressPolicy) -> Gate:
    """What connections to receivers go through: none leads back to this server."""
    addresses = (config.grpc_address, config.metrics_address, config.console_address)
    listening = [address.port for address in addresses if address]
    return Gate(policy, own_ports=(*listening, *config.own_ports), name_servers=config.name_servers)


def sender(config: Config, gate: Gate) -> Sender:
    """The HTTP client that is set. Raises StartError when it is not installed."""
    match config.sender:
        case "aiohttp":
            return AiohttpSender(gate)
        case "curl":
            try:
                from .delivery.curl_sender import CurlSender
            except ImportError as error:
                raise StartError(
                    f"the curl sender can't be used: {error}",
                    "pip install 'hookpost-server[curl]', or leave HOOKPOST_SENDER unset",
                ) from error
            return CurlSender(gate)
        case _:
            return NativeSender(gate)


def tracing(config: Config) -> Tracing | None:
    """What makes spans; None unless it is wanted. Raises StartError when its packages are missing."""
    if config.traces == "off":
        return None
    try:
        from .monitoring.tracing import Tracing
    except ImportError as error:
        raise StartError(
            f"HOOKPOST_TRACES=otlp needs OpenTelemetry ({error})",
            "pip install 'hookpost-server[otel]', or set it to off",
        ) from error
    return Tracing()


@contextlib.contextmanager
def database_errors() -> Iterator[None]:
    """Turns what goes wrong with the database while starting into a StartError."""
    try:
        yield
    except (*TRANSIENT, errors.DatabaseUnavailable, asyncpg.PostgresError, ValueError) as error:
        raise StartError(
            f"the database can't be used: {error or type(error).__name__}",
            "check HOOKPOST_DATABASE_URL (postgresql://user:password@host:5432/database) and that PostgreSQL runs; "
            "leave it empty for an embedded one",
        ) from error
