"""Settings, read once from the environment. `hookpost config` prints the table below with the values in force."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from . import values
from .domain.retention import DAY, FOREVER, HOUR, Lifetime, Lifetimes
from .failpoints import Failpoint
from .values import Address as Address
from .values import Network

LONGEST_TIMEOUT = 30.0  # seconds: domain/webhook.py's MAX_TIMEOUT, which takes commands 0.1 s to import
# Variables that others read: callers, the embedded PostgreSQL and, by their prefix, the tests.
OTHERS = frozenset(
    f"HOOKPOST_{name}"
    for name in ("ADDRESS", "API_KEY", "API_KEY_FILE", "CA", "CLIENT_CERT", "CLIENT_KEY", "TENANT", "POSTGRES_BIN")
)


class ConfigError(Exception):
    """The settings can't be used; `faults` names every one that is wrong."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def _setting(parse: Callable[[str], Any], default: Any, doc: str, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"parse": parse, "doc": doc, "secret": secret})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that can be set. Each field is read from HOOKPOST_<FIELD>."""

    database_url: str = _setting(
        values.text, "", "PostgreSQL 15 to 18, postgresql://… ; empty: an embedded one in data_dir", secret=True
    )
    data_dir: Path = _setting(
        Path, Path(".hookpost"), "where the embedded PostgreSQL keeps its data, and its master key (master.key)"
    )
    master_key: str = _setting(
        values.text,
        "",
        "what secrets are encrypted with in the database: 32 bytes as base64 or hex (openssl rand -base64 32); needed "
        "unless PostgreSQL is the embedded one, which makes its own",
        secret=True,
    )
    master_keys: str = _setting(
        values.text,
        "",
        "several of them, comma-separated, to exchange one: the first encrypts, all decrypt; then hookpost rewrap",
        secret=True,
    )
    master_key_file: str = _setting(values.text, "", "a file with what would be in master_key")
    master_keys_file: str = _setting(values.text, "", "a file with what would be in master_keys")
    grpc_address: Address = _setting(Address.parse, Address("127.0.0.1", 50051), "where gRPC listens")
    metrics_address: Address | None = _setting(
        values.address_or_off,
        Address("127.0.0.1", 9464),
        "where /metrics, /healthz and /readyz are answered over HTTP; off: nowhere",
    )
    console_address: Address | None = _setting(
        values.address_or_off, Address("127.0.0.1", 8080), "where the web console is served over HTTP; off: nowhere"
    )
    console_hosts: tuple[str, ...] = _setting(
        values.host_names, (), "names by which browsers may reach the console besides loopback ones, comma-separated"
    )
    auth: str = _setting(
        values.one_of("auto", "keys", "off"),
        "auto",
        "keys: every call needs an API key (hookpost key create); off: none does; auto: keys when gRPC or the console "
        "can be reached from beyond loopback",
    )
    tls_cert: Path | None = _setting(
        values.path_or_off, None, "file with the certificate chain that gRPC shows, PEM; read again when it changes"
    )
    tls_key: Path | None = _setting(values.path_or_off, None, "file with its private key, PEM")
    tls_client_ca: Path | None = _setting(
        values.path_or_off, None, "file with the authorities that callers' certificates must be of, PEM (mTLS)"
    )
    insecure_behind_proxy: bool = _setting(
        values.boolean,
        False,
        "allow listening beyond loopback without TLS, and with auth=off without keys, because a proxy in front does it",
    )
    event_types: str = _setting(
        values.one_of("strict", "open"), "strict", "strict: only types of the catalogue; open: any well-formed name"
    )
    signature_header: str = _setting(
        values.header_name, "hookpost-signature-sha-256", "name of the header with the hex HMAC of the body"
    )
    allow_http: bool = _setting(values.boolean, False, "accept http:// URLs for webhooks")
    allow_networks: tuple[Network, ...] = _setting(
        values.networks, (), "private networks that webhooks may reach, CIDR list; never opens metadata addresses"
    )
    deny_networks: tuple[Network, ...] = _setting(
        values.networks, (), "networks that webhooks may not reach, CIDR list; stronger than allow_networks"
    )
    name_servers: tuple[str, ...] = _setting(
        values.name_servers, (), "name servers to ask for webhooks' hosts, ADDRESS or ADDRESS:PORT; empty: the system's"
    )
    own_ports: tuple[int, ...] = _setting(
        values.ports,
        (),
        "ports of this machine that webhooks may not reach, beside those that this process listens on; --processes "
        "adds its own",
    )
    processes: int = _setting(values.count(1, 64), 1, "server processes that share the port, to use more cores")
    share_port: bool = _setting(
        values.boolean,
        False,
        "let other processes of this user listen on the same port; set by --processes for its own",
    )
    sender: str = _setting(
        values.one_of("native", "curl", "aiohttp"),
        "native",
        "the HTTP client: native is the fastest; curl needs pycurl",
    )
    max_in_flight: int = _setting(values.count(1, 10_000), 256, "attempts under way at once in this process")
    max_handed_off: int = _setting(
        values.count(0, 1_000_000),
        20_000,
        "deliveries kept in memory between commit and attempt; more wait in the database",
    )
    max_queued_events: int = _setting(
        values.count(1, 1_000_000),
        20_000,
        "events waiting for their commit; more are refused with RESOURCE_EXHAUSTED",
    )
    max_webhooks: int = _setting(
        values.count(1, 1_000_000), 10_000, "webhooks of one tenant; more are refused with RESOURCE_EXHAUSTED"
    )
    suspend_after: float = _setting(
        values.zero_or_between(6 * 3600, 30 * 86400),
        5 * 86400.0,
        "seconds after which a webhook is suspended of which every attempt has failed; 0: never",
    )
    lease_margin: float = _setting(
        values.between(1, 600), 15.0, "seconds that a claim outlives the longest attempt; then another node may try"
    )
    poll_interval: float = _setting(values.between(0.01, 60), 0.5, "seconds between looks for due deliveries")
    shutdown_grace: float = _setting(
        values.between(0, 300), 15.0, "seconds that attempts under way may take at shutdown"
    )
    retention: Lifetime = _setting(
        values.lifetime(DAY),
        Lifetime(7 * DAY),
        "how long events and deliveries are kept, e.g. 30d or forever, at least 1d; by days of UTC that are over; a "
        "day stays while a delivery of it is pending, and until 24 h after the longest retry policy in use",
    )
    audit_retention: Lifetime = _setting(
        values.lifetime(30 * DAY), Lifetime(400 * DAY), "how long the audit log is kept, at least 30d"
    )
    body_retention: Lifetime = _setting(
        values.lifetime(HOUR),
        FOREVER,
        "how long payloads and receivers' answers are kept, at least 1h; forever: as long as their entries; by days "
        "of UTC that are over; a pending delivery's payload stays, one without payload can't be sent again",
    )
    traces: str = _setting(
        values.one_of("off", "otlp"),
        "off",
        "otlp: send spans over OTLP/HTTP to where the standard OTEL_* variables say; needs the extra [otel]",
    )
    log_attempts: str = _setting(
        values.one_of("all", "failed", "none"),
        "all",
        "which attempts have a line at level info; the others' is at debug",
    )
    log_level: str = _setting(values.one_of("debug", "info", "warning", "error"), "info", "least severe line to log")
    log_format: str = _setting(
        values.one_of("auto", "console", "json"), "auto", "auto: console on a terminal, else one JSON object a line"
    )
    failpoint: Failpoint | None = _setting(
        values.failpoint_or_off, None, "for tests: where this process dies, POINT:kill; see server/README.md"
    )

    @property
    def lease(self) -> float:
        """Seconds for which a claimed delivery belongs to its claimer."""
        return LONGEST_TIMEOUT + self.lease_margin

    @property
    def lifetimes(self) -> Lifetimes:
        """For how long what is kept."""
        return Lifetimes(self.retention, self.body_retention, self.audit_retention)

    @property
    def needs_keys(self) -> bool:
        """Whether calls need an API key."""
        listening = [address for address in (self.grpc_address, self.console_address) if address is not None]
        beyond = bool(self.console_hosts) or not all(each.is_loopback for each in listening)
        return self.auth == "keys" or (self.auth == "auto" and beyond)

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
        if (config.tls_cert is None) != (config.tls_key is None):
            faults.append("HOOKPOST_TLS_CERT, HOOKPOST_TLS_KEY: set both, or neither")
        elif config.tls_client_ca is not None and config.tls_cert is None:
            faults.append("HOOKPOST_TLS_CLIENT_CA: needs HOOKPOST_TLS_CERT and HOOKPOST_TLS_KEY")
        if (config.body_retention.seconds or 0) > (config.retention.seconds or float("inf")):
            faults.append(
                f"HOOKPOST_BODY_RETENTION={config.body_retention}: must not be longer than "
                f"HOOKPOST_RETENTION={config.retention}; forever means as long as that"
            )
        if faults:
            raise ConfigError(faults)
        return config

    @classmethod
    def unknown(cls, environ: Mapping[str, str]) -> dict[str, str]:
        """HOOKPOST_* variables that nobody reads, and the setting each may have been meant for, or ""."""
        known = [f"HOOKPOST_{setting.name.upper()}" for setting in fields(cls)]
        strange = sorted(
            name
            for name in environ.keys() - OTHERS - set(known)
            if name.startswith("HOOKPOST_") and not name.startswith("HOOKPOST_TEST_")
        )
        return {name: next(iter(difflib.get_close_matches(name, known, 1, 0.8)), "") for name in strange}

    def environment(self) -> dict[str, str]:
        """All settings as variables from which `from_env` reads them again; secrets too."""
        return {
            f"HOOKPOST_{setting.name.upper()}": values.as_text(getattr(self, setting.name)) for setting in fields(self)
        }

    def table(self) -> list[tuple[str, str, str]]:
        """(variable, value in force, meaning) of every setting; secrets are hidden."""
        return [
            (
                f"HOOKPOST_{setting.name.upper()}",
                "(set)"
                if setting.metadata["secret"] and getattr(self, setting.name)
                else values.as_text(getattr(self, setting.name)),
                setting.metadata["doc"],
            )
            for setting in fields(self)
        ]
