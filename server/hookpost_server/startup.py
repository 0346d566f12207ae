"""What comes before serving: a free port, a database that answers, its tables up to date."""

from __future__ import annotations

import contextlib
import socket
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import asyncpg

from .config import Address, Config
from .delivery.aiohttp_sender import AiohttpSender
from .delivery.sender import Sender
from .domain import errors
from .domain.addresses import AddressPolicy
from .embedded import EmbeddedPostgres, EmbeddedPostgresError
from .store import migrate as migrations
from .store.database import TRANSIENT, Database

if TYPE_CHECKING:
    from .monitoring.tracing import Tracing

CONNECT_TIMEOUT = 10.0  # seconds
GRPC_SETTING = "--grpc-address or HOOKPOST_GRPC_ADDRESS"
METRICS_SETTING = "HOOKPOST_METRICS_ADDRESS"
CONSOLE_SETTING = "HOOKPOST_CONSOLE_ADDRESS"


class StartError(Exception):
    """The server can't start. `hint` says what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


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


async def open_database(url: str) -> Database:
    """The pool. Raises StartError."""
    with database_errors():
        return await Database.open(url)


def sender(config: Config, policy: AddressPolicy) -> Sender:
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
            return CurlSender(policy)
    return AiohttpSender(policy)


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
