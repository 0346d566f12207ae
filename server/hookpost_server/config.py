"""Settings, read once from the environment. `hookpost config` prints the table below with the values in force."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from .domain import headers
from .domain.retention import DAY, FOREVER, HOUR, Lifetime, Lifetimes
from .failpoints import Failpoint

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


def _address_or_off(value: str) -> Address | None:
    return None if value == "off" else Address.parse(value)


def _failpoint_or_off(value: str) -> Failpoint | None:
    return None if value == "off" else Failpoint.parse(value)


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


def _lifetime(shortest: float) -> Callable[[str], Lifetime]:
    def parse(value: str) -> Lifetime:
        lifetime = Lifetime.parse(value.strip())
        if lifetime.seconds is not None and lifetime.seconds < shortest:
            raise ValueError(f"must be at least {Lifetime(shortest)}")
        return lifetime

    return parse


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
    metrics_address: Address | None = _setting(
        _address_or_off,
        Address("127.0.0.1", 9464),
        "where /metrics, /healthz and /readyz are answered over HTTP; off: nowhere",
    )
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
    processes: int = _setting(_count(1, 64), 1, "server processes that share the port, to use more cores")
    share_port: bool = _setting(
        _boolean, False, "let other processes of this user listen on the same port; set by --processes for its own"
    )
    sender: str = _setting(
        _one_of("auto", "curl", "aiohttp"),
        "auto",
        "the HTTP client: curl is the faster one and needs pycurl; auto takes it where it is installed",
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
    lease_margin: float = _setting(
        _between(1, 600), 15.0, "seconds that a claim outlives the longest attempt; then another node may try"
    )
    poll_interval: float = _setting(_between(0.01, 60), 0.5, "seconds between looks for due deliveries")
    shutdown_grace: float = _setting(_between(0, 300), 15.0, "seconds that attempts under way may take at shutdown")
    retention: Lifetime = _setting(
        _lifetime(DAY),
        Lifetime(7 * DAY),
        "how long events and deliveries are kept, e.g. 30d or forever, at least 1d; by days of UTC that are over; a "
        "day stays while a delivery of it is pending, and until 24 h after the longest retry policy in use",
    )
    body_retention: Lifetime = _setting(
        _lifetime(HOUR),
        FOREVER,
        "how long payloads and receivers' answers are kept, at least 1h; forever: as long as their entries; by days "
        "of UTC that are over; a pending delivery's payload stays, one without payload can't be sent again",
    )
    traces: str = _setting(
        _one_of("off", "otlp"),
        "off",
        "otlp: send spans over OTLP/HTTP to where the standard OTEL_* variables say; needs the extra [otel]",
    )
    log_attempts: str = _setting(
        _one_of("all", "failed", "none"),
        "all",
        "which attempts have a line at level info; the others' is at debug",
    )
    log_level: str = _setting(_one_of("debug", "info", "warning", "error"), "info", "least severe line to log")
    log_format: str = _setting(
        _one_of("auto", "console", "json"), "auto", "auto: console on a terminal, else one JSON object a line"
    )
    failpoint: Failpoint | None = _setting(
        _failpoint_or_off, None, "for tests: where this process dies, POINT:kill; see server/README.md"
    )

    @property
    def lease(self) -> float:
        """Seconds for which a claimed delivery belongs to its claimer."""
        return LONGEST_TIMEOUT + self.lease_margin

    @property
    def lifetimes(self) -> Lifetimes:
        """For how long what is kept."""
        return Lifetimes(self.retention, self.body_retention)

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
        if (config.body_retention.seconds or 0) > (config.retention.seconds or float("inf")):
            faults.append(
                f"HOOKPOST_BODY_RETENTION={config.body_retention}: must not be longer than "
                f"HOOKPOST_RETENTION={config.retention}; forever means as long as that"
            )
        if faults:
            raise ConfigError(faults)
        return config

    def environment(self) -> dict[str, str]:
        """All settings as variables from which `from_env` reads them again; secrets too."""
        return {f"HOOKPOST_{setting.name.upper()}": _as_text(getattr(self, setting.name)) for setting in fields(self)}

    def table(self) -> list[tuple[str, str, str]]:
        """(variable, value in force, meaning) of every setting; secrets are hidden."""
        return [
            (
                f"HOOKPOST_{setting.name.upper()}",
                "(set)"
                if setting.metadata["secret"] and getattr(self, setting.name)
                else _as_text(getattr(self, setting.name)),
                setting.metadata["doc"],
            )
            for setting in fields(self)
        ]


def _as_text(value: Any) -> str:
    if value is None:
        return "off"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
