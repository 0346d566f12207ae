"""Where a server listens, and whether it may: free ports, no door open to strangers, enough open files."""

from __future__ import annotations

import contextlib
import resource
import socket
from dataclasses import dataclass, replace
from typing import Protocol

from .config import Address, Config
from .startup import StartError, database_errors
from .store.api_keys import ApiKeys
from .store.database import Database

GRPC_SETTING = "--grpc-address or HOOKPOST_GRPC_ADDRESS"
METRICS_SETTING = "HOOKPOST_METRICS_ADDRESS"
CONSOLE_SETTING = "HOOKPOST_CONSOLE_ADDRESS"


class Exposed(StartError):
    """The settings would let strangers in, or let others listen."""

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


async def start(listener: Listener, address: Address | None, setting: str) -> Address | None:
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


async def start_grpc(server: GrpcListener, address: Address) -> Address:
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


def open_files() -> int:
    """How many files this process may have open; each connection is one."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def raise_file_limit() -> None:
    """As many open files as this process may allow itself, for it and those it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS names a limit that it does not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
