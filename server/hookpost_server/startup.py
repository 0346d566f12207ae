"""What comes before serving: a free port, a database that answers, its tables up to date."""

from __future__ import annotations

import contextlib
import resource
import socket
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Protocol

import asyncpg
import structlog

from .config import Address, Config
from .delivery.aiohttp_sender import AiohttpSender
from .delivery.gate import Gate
from .delivery.sender import Sender
from .domain import errors
from .domain.addresses import AddressPolicy
from .domain.sealing import KeyRing
from .embedded import EmbeddedPostgres, EmbeddedPostgresError, url_of_running
from .store import migrate as migrations
from .store.api_keys import ApiKeys
from .store.database import TRANSIENT, Database
from .store.vault import Vault

if TYPE_CHECKING:
    from .monitoring.tracing import Tracing

CONNECT_TIMEOUT = 10.0  # seconds
GRPC_SETTING = "--grpc-address or HOOKPOST_GRPC_ADDRESS"
METRICS_SETTING = "HOOKPOST_METRICS_ADDRESS"
CONSOLE_SETTING = "HOOKPOST_CONSOLE_ADDRESS"

log = structlog.get_logger()


class StartError(Exception):
    """The server can't start. `hint` says what to do about it, `exit_code` how the process ends."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Exposed(StartError):
    """The settings would let strangers in, or let others listen."""

    exit_code = 78  # EX_CONFIG


class MasterKeyError(StartError):
    """The master keys are missing, malformed, or not those of the database. Never quotes one."""

    exit_code = 78  # EX_CONFIG


def check_exposure(config: Config) -> None:
    """Raises Exposed when calls from beyond loopback would come without keys, or in clear text."""
    if config.insecure_behind_proxy:
        return
    console = config.console_address
    if console is not None and not console.is_loopback:
        raise Exposed(
            f"HOOKPOST_CONSOLE_ADDRESS={console} is beyond loopback, and the console itself speaks no TLS",
            "put a proxy with TLS in front, set HOOKPOST_INSECURE_BEHIND_PROXY=true and HOOKPOST_CONSOLE_HOSTS",
        )
    if console is not None and config.console_hosts and not config.needs_keys:
        raise Exposed(
            "HOOKPOST_CONSOLE_HOSTS lets browsers reach the console from elsewhere, and HOOKPOST_AUTH=off would let "
            "everybody in",
            "set HOOKPOST_AUTH=keys; set HOOKPOST_INSECURE_BEHIND_PROXY=true if a proxy in front knows its visitors",
        )
    if config.grpc_address.is_loopback:
        return
    where = f"HOOKPOST_GRPC_ADDRESS={config.grpc_address} is beyond loopback, and"
    proxy = "set HOOKPOST_INSECURE_BEHIND_PROXY=true if a proxy in front does that"
    if not config.needs_keys:
        raise Exposed(f"{where} HOOKPOST_AUTH=off would let everybody in", f"set HOOKPOST_AUTH=keys; {proxy}")
    if config.tls_cert is None:
        raise Exposed(f"{where} calls would come without TLS", f"set HOOKPOST_TLS_CERT and HOOKPOST_TLS_KEY; {proxy}")


async def check_keys(config: Config, database: Database) -> None:
    """Raises Exposed when keys are needed and there is none: nobody could call."""
    with database_errors():
        if not config.needs_keys or await ApiKeys(database).any_works():
            return
    raise Exposed(
        "every call needs an API key, and there is none",
        "make the first with: hookpost key create --name admin --scope admin --tenant '*'",
    )


@dataclass(frozen=True, slots=True)
class Running:
    """Where a server that has started can be found."""

    grpc_address: Address
    metrics_address: Address | None
    console_address: Address | None
    database: str  # for people; without password


def check_ports(config: Config) -> None:
    """Raises StartError when a port that the server needs is taken."""
    if not config.share_port:
        check_free(config.grpc_address, GRPC_SETTING)
    if config.metrics_address is not None:
        check_free(config.metrics_address, METRICS_SETTING)
    if config.console_address is not None:
        check_free(config.console_address, CONSOLE_SETTING)


def check_free(address: Address, setting: str) -> None:
    """Says that a port is taken before a database is started for nothing. Raises StartError."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
            probe.listen()
        except OSError as error:
            raise cannot_listen(address, setting) from error


class Listener(Protocol):
    """What answers at a port."""

    async def start(self, host: str, port: int) -> int:
        """Listens; returns the real port. Raises OSError when the address can't be had."""


async def listen(listener: Listener, address: Address | None, setting: str) -> Address | None:
    """Starts it, unless it has no address; returns the real one. Raises StartError that names the setting."""
    if address is None:
        return None
    try:
        return replace(address, port=await listener.start(address.host, address.port))
    except OSError as error:
        raise cannot_listen(address, setting) from error


class GrpcListener(Protocol):
    """What answers calls."""

    async def start(self, address: str) -> int:
        """As Listener.start. Raises ValueError for certificates that can't be used."""


async def listen_grpc(server: GrpcListener, address: Address) -> Address:
    """Starts it; returns the real address. Raises StartError."""
    try:
        return replace(address, port=await server.start(str(address)))
    except OSError as error:
        raise cannot_listen(address, GRPC_SETTING) from error
    except ValueError as error:
        raise StartError(str(error), "check HOOKPOST_TLS_CERT, _KEY and _CLIENT_CA") from error


def cannot_listen(address: Address, setting: str) -> StartError:
    """`setting`: what names another address."""
    return StartError(
        f"{address} can't be listened on: the port is taken or not allowed",
        f"choose another with {setting}=HOST:PORT, or stop what uses it",
    )


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


def open_files() -> int:
    """How many files this process may have open; each connection is one."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def raise_file_limit() -> None:
    """As many open files as this process may allow itself, for it and those it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS names a limit that it does not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def gate(config: Config, policy: AddressPolicy) -> Gate:
    """What connections to receivers go through: none leads back to this server."""
    addresses = (config.grpc_address, config.metrics_address, config.console_address)
    listening = [address.port for address in addresses if address]
    return Gate(policy, own_ports=(*listening, *config.own_ports), name_servers=config.name_servers)


def sender(config: Config, gate: Gate) -> Sender:
    """The HTTP client that is set. Raises StartError when it is not installed."""
    if config.sender != "aiohttp":
        try:
            from .delivery.curl_sender import CurlSender
        except ImportError as error:
            if config.sender == "curl":
                raise StartError(
                    f"the curl sender can't be used: {error}",
                    "pip install 'hookpost-server[curl]', or set HOOKPOST_SENDER=aiohttp",
                ) from error
        else:
            return CurlSender(gate)
    return AiohttpSender(gate)


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
