"""Settings, read once from the environment. `hookpost config` prints the table below with the values in force."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from .domain import headers

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LONGEST_TIMEOUT = 30.0  # seconds; the limit of a webhook's own `timeout`


class ConfigError(Exception):
    """The settings can't be used; `faults` names every one that is wrong."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens. Port 0 lets the system choose one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        host, colon, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError('must be HOST:PORT, e.g. "127.0.0.1:50051" or "[::1]:50051"')
        return cls(host, int(port))

    @property
    def is_loopback(self) -> bool:
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _text(value: str) -> str:
    return value


def _boolean(value: str) -> bool:
    match value.strip().lower():
        case "1" | "true" | "yes" | "on":
            return True
        case "0" | "false" | "no" | "off":
            return False
    raise ValueError("must be true or false")


def _between(low: float, high: float) -> Callable[[str], float]:
    def parse(value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}")
        return number

    return parse


def _zero_or_between(low: float, high: float) -> Callable[[str], float]:
    between = _between(low, high)

    def parse(value: str) -> float:
        try:
            return 0.0 if value.strip() == "0" else between(value)
        except ValueError as error:
            raise ValueError(f"{error}, or 0") from None

    return parse


def _count(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        try:
            number = int(value)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return number

    return parse


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return value

    return parse


def _networks(value: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(part.strip()) for part in value.split(",") if part.strip())


def _header_name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]{1,64}", value):
        raise ValueError("must be a header name of 1 to 64 lower-case letters, digits and hyphens")
    if not headers.may_sign(value):
        raise ValueError("must not be a header that Hookpost or the connection sets itself; take another name")
    return value


def _setting(parse: Callable[[str], Any], default: Any, doc: str, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"parse": parse, "doc": doc, "secret": secret})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that can be set. Each field is read from HOOKPOST_<FIELD>."""

    database_url: str = _setting(
        _text, "", "PostgreSQL 15 to 18, postgresql://… ; empty: an embedded one in data_dir", secret=True
    )
    data_dir: Path = _setting(Path, Path(".hookpost"), "where the embedded PostgreSQL keeps its data")
    grpc_address: Address = _setting(Address.parse, Address("127.0.0.1", 50051), "where gRPC listens")
    insecure_behind_proxy: bool = _setting(
        _boolean, False, "allow listening beyond loopback without TLS, because a proxy in front does it"
    )
    event_types: str = _setting(
        _one_of("strict", "open"), "strict", "strict: only types of the catalogue; open: any well-formed name"
    )
    signature_header: str = _setting(
        _header_name, "hookpost-signature-sha-256", "name of the header with the hex HMAC of the body"
    )
    allow_http: bool = _setting(_boolean, False, "accept http:// URLs for webhooks")
    allow_networks: tuple[Network, ...] = _setting(
        _networks, (), "private networks that webhooks may reach, CIDR list; never opens metadata addresses"
    )
    deny_networks: tuple[Network, ...] = _setting(
        _networks, (), "networks that webhooks may not reach, CIDR list; stronger than allow_networks"
    )
    max_in_flight: int = _setting(_count(1, 10_000), 256, "attempts under way at once in this process")
    max_handed_off: int = _setting(
        _count(0, 1_000_000),
        20_000,
        "deliveries kept in memory between commit and attempt; more wait in the database",
    )
    max_queued_events: int = _setting(
        _count(1, 1_000_000),
        20_000,
        "events waiting for their commit; more are refused with RESOURCE_EXHAUSTED",
    )
    suspend_after: float = _setting(
        _zero_or_between(6 * 3600, 30 * 86400),
        5 * 86400.0,
        "seconds after which a webhook is suspended of which every attempt has failed; 0: never",
    )
    lease_margin: float = _setting(
        _between(1, 600), 15.0, "seconds that a claim outlives the longest attempt; then another node may try"
    )
    poll_interval: float = _setting(_between(0.01, 60), 0.5, "seconds between looks for due deliveries")
    shutdown_grace: float = _setting(_between(0, 300), 15.0, "seconds that attempts under way may take at shutdown")
    log_level: str = _setting(_one_of("debug", "info", "warning", "error"), "info", "least severe line to log")
    log_format: str = _setting(
        _one_of("auto", "console", "json"), "auto", "auto: console on a terminal, else one JSON object a line"
    )

    @property
    def lease(self) -> float:
        """Seconds for which a claimed delivery belongs to its claimer."""
        return LONGEST_TIMEOUT + self.lease_margin

    @classmethod
    def from_env(cls, environ: Mapping[str, str], **overrides: Any) -> Config:
        """Reads HOOKPOST_* and applies `overrides` (from command-line options) on top. Raises ConfigError."""
        known = {f"HOOKPOST_{f.name.upper()}": f for f in fields(cls)}
        values: dict[str, Any] = {}
        faults = []
        for variable, setting in known.items():
            if (text := environ.get(variable, "")) == "":
                continue
            try:
                values[setting.name] = setting.metadata["parse"](text)
            except ValueError as error:
                shown = "(hidden)" if setting.metadata["secret"] else repr(text)
                faults.append(f"{variable}={shown}: {error}")
        values.update({name: value for name, value in overrides.items() if value is not None})
        config = cls(**values)
        if not config.grpc_address.is_loopback and not config.insecure_behind_proxy:
            faults.append(
                f"HOOKPOST_GRPC_ADDRESS={config.grpc_address}: listening beyond loopback without TLS and API keys is "
                "refused; set HOOKPOST_INSECURE_BEHIND_PROXY=true if a proxy in front authenticates and encrypts"
            )
        if faults:
            raise ConfigError(faults)
        return config

    def table(self) -> list[tuple[str, str, str]]:
        """(variable, value in force, meaning) of every setting; secrets are hidden."""
        rows = []
        for setting in fields(self):
            value = getattr(self, setting.name)
            if setting.metadata["secret"]:
                text = "(set)" if value else ""
            elif isinstance(value, tuple):
                text = ",".join(map(str, value))
            elif isinstance(value, bool):
                text = str(value).lower()
            else:
                text = str(value)
            rows.append((f"HOOKPOST_{setting.name.upper()}", text, setting.metadata["doc"]))
        return rows
