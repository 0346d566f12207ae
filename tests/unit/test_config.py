"""Settings from the environment: read as said, refused in words that help, secrets hidden."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from pathlib import Path
from typing import Any

import pytest

from hookpost_server.config import Address, Config, ConfigError
from hookpost_server.domain.retention import DAY, FOREVER, HOUR, Lifetime, Lifetimes
from hookpost_server.domain.webhook import MAX_TIMEOUT

from .samples import CANARY

ROOT = Path(__file__).parents[2]


def faults(**environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        Config.from_env({f"HOOKPOST_{name}": value for name, value in environ.items()})
    return caught.value.faults


def read(name: str, value: str, **environ: str) -> Any:
    return getattr(Config.from_env({f"HOOKPOST_{name.upper()}": value, **environ}), name)


def test_an_empty_environment_gives_the_defaults() -> None:
    config = Config.from_env({"PATH": "/bin", "HOOKPOST_LOG_LEVEL": ""})
    assert config == Config()
    assert config.grpc_address == Address("127.0.0.1", 50051)
    assert (config.database_url, config.data_dir, config.event_types) == ("", Path(".hookpost"), "strict")
    assert (config.allow_http, config.allow_networks, config.insecure_behind_proxy) == (False, (), False)
    assert config.signature_header == "hookpost-signature-sha-256"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("database_url", "postgresql://a:b@c/d", "postgresql://a:b@c/d"),
        ("data_dir", "/var/lib/x y", Path("/var/lib/x y")),
        ("grpc_address", "[::1]:0", Address("::1", 0)),
        ("grpc_address", "localhost:65535", Address("localhost", 65535)),
        ("metrics_address", "0.0.0.0:9464", Address("0.0.0.0", 9464)),
        ("metrics_address", "off", None),
        ("console_address", "[::1]:8080", Address("::1", 8080)),
        ("console_address", "off", None),
        ("console_hosts", "Hooks.example.com, [2001:db8::1] ,", ("hooks.example.com", "[2001:db8::1]")),
        ("traces", "otlp", "otlp"),
        ("log_attempts", "failed", "failed"),
        ("event_types", "open", "open"),
        ("signature_header", "logto-signature-sha-256", "logto-signature-sha-256"),
        ("allow_http", "TRUE", True),
        ("allow_http", "1", True),
        ("allow_http", " on ", True),
        ("allow_http", "no", False),
        (
            "allow_networks",
            "10.0.0.0/8, ::1 ,",
            (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1/128")),
        ),
        ("deny_networks", "8.8.8.8", (ipaddress.ip_network("8.8.8.8/32"),)),
        (
            "name_servers",
            "192.0.2.53, 127.0.0.1:5353,[2001:db8::53]:53",
            ("192.0.2.53", "127.0.0.1:5353", "[2001:db8::53]:53"),
        ),
        ("own_ports", "8080, 9000", (8080, 9000)),
        ("max_in_flight", "1", 1),
        ("max_in_flight", "10000", 10_000),
        ("max_handed_off", "0", 0),
        ("lease_margin", "1.5", 1.5),
        ("poll_interval", "0.01", 0.01),
        ("retention", "36h", Lifetime(36 * HOUR)),
        ("retention", " 1d ", Lifetime(DAY)),
        ("retention", "forever", FOREVER),
        ("body_retention", "1h", Lifetime(HOUR)),
        ("suspend_after", "0", 0.0),
        ("suspend_after", "86400", 86400.0),
        ("log_level", "debug", "debug"),
        ("log_format", "json", "json"),
    ],
)
def test_read(name: str, text: str, value: Any) -> None:
    assert read(name, text) == value


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("GRPC_ADDRESS", "50051", "must be HOST:PORT"),
        ("GRPC_ADDRESS", ":50051", "must be HOST:PORT"),
        ("METRICS_ADDRESS", "9464", "must be HOST:PORT"),
        ("TRACES", "on", "must be one of off, otlp"),
        ("LOG_ATTEMPTS", "some", "must be one of all, failed, none"),
        ("GRPC_ADDRESS", "localhost:", "must be HOST:PORT"),
        ("GRPC_ADDRESS", "localhost:65536", "must be HOST:PORT"),
        ("GRPC_ADDRESS", "localhost:-1", "must be HOST:PORT"),
        ("GRPC_ADDRESS", "localhost:٨٠", "must be HOST:PORT"),
        ("GRPC_ADDRESS", "[::1]", "must be HOST:PORT"),
        ("EVENT_TYPES", "Open", "must be one of strict, open"),
        ("SIGNATURE_HEADER", "X-Sig", "must be a header name of 1 to 64 lower-case letters"),
        ("SIGNATURE_HEADER", "x sig", "must be a header name"),
        ("SIGNATURE_HEADER", "x-sig\n", "must be a header name"),
        ("SIGNATURE_HEADER", "x" * 65, "must be a header name"),
        ("SIGNATURE_HEADER", "webhook-signature", "take another name"),
        ("SIGNATURE_HEADER", "hookpost-event", "take another name"),
        ("SIGNATURE_HEADER", "content-type", "take another name"),
        ("SIGNATURE_HEADER", "content-length", "take another name"),
        ("CONSOLE_ADDRESS", "8080", "must be HOST:PORT"),
        ("CONSOLE_HOSTS", "https://hooks.example.com", "without scheme and port"),
        ("CONSOLE_HOSTS", "hooks.example.com:8080", "without scheme and port"),
        ("ALLOW_HTTP", "maybe", "must be true or false"),
        ("ALLOW_NETWORKS", "10.0.0.0/33", "10.0.0.0/33"),
        ("ALLOW_NETWORKS", "10.0.0.1/8", "has host bits set"),
        ("DENY_NETWORKS", "example.com", "example.com"),
        ("NAME_SERVERS", "ns.example.com", "must be IP addresses, with or without a port"),
        ("NAME_SERVERS", "ns.example.com:53", "must be IP addresses, with or without a port"),
        ("OWN_PORTS", "80,http", "must be a whole number from 1 to 65535"),
        ("MAX_IN_FLIGHT", "0", "must be a whole number from 1 to 10000"),
        ("MAX_IN_FLIGHT", "1.5", "must be a whole number from 1 to 10000"),
        ("MAX_IN_FLIGHT", "many", "must be a whole number from 1 to 10000"),
        ("LEASE_MARGIN", "0.5", "must be a number from 1 to 600"),
        ("LEASE_MARGIN", "nan", "must be a number from 1 to 600"),
        ("LEASE_MARGIN", "soon", "must be a number from 1 to 600"),
        ("SHUTDOWN_GRACE", "-1", "must be a number from 0 to 300"),
        ("SHUTDOWN_GRACE", "inf", "must be a number from 0 to 300"),
        ("RETENTION", "23h", "must be at least 1d"),
        ("RETENTION", "0", 'must be days or hours, such as 7d or 36h, up to 36500d, or "forever"'),
        ("BODY_RETENTION", "30m", "must be days or hours"),
        ("SUSPEND_AFTER", "60", "must be a number from 21600 to 2592000, or 0"),
        ("SUSPEND_AFTER", "5d", "or 0"),
        ("AUTH", "on", "must be one of auto, keys, off"),
        ("AUDIT_RETENTION", "29d", "must be at least 30d"),
        ("LOG_LEVEL", "INFO", "must be one of debug, info, warning, error"),
    ],
)
def test_refused_by_name_with_the_cure(name: str, text: str, words: str) -> None:
    (fault,) = faults(**{name: text})
    assert fault.startswith(f"HOOKPOST_{name}={text!r}: ")
    assert words in fault


def test_all_faults_at_once() -> None:
    found = faults(LOG_LEVEL="loud", ALLOW_HTTP="maybe", GRPC_ADDRESS="0.0.0.0")
    assert [fault.split("=")[0] for fault in found] == [
        *("HOOKPOST_GRPC_ADDRESS", "HOOKPOST_ALLOW_HTTP", "HOOKPOST_LOG_LEVEL")
    ]


@pytest.mark.parametrize("address", ["0.0.0.0:50051", "[::]:50051", "10.0.0.1:1", "hooks.example:1", "[2001:db8::1]:1"])
def test_beyond_loopback_calls_need_keys(address: str) -> None:
    environ = {"HOOKPOST_GRPC_ADDRESS": address}
    assert Config.from_env(environ).needs_keys
    assert Config.from_env(environ | {"HOOKPOST_INSECURE_BEHIND_PROXY": "true"}).needs_keys
    assert not Config.from_env(environ | {"HOOKPOST_AUTH": "off"}).needs_keys


@pytest.mark.parametrize("address", ["127.0.0.1:50051", "127.1.2.3:1", "[::1]:1", "localhost:1"])
def test_on_loopback_they_do_only_if_told(address: str) -> None:
    environ = {"HOOKPOST_GRPC_ADDRESS": address}
    assert not Config.from_env(environ).needs_keys
    assert Config.from_env(environ | {"HOOKPOST_AUTH": "keys"}).needs_keys


def test_tls_takes_a_certificate_with_its_key() -> None:
    both = {"TLS_CERT": "a.pem", "TLS_KEY": "b.pem"}
    for name in both:
        (fault,) = faults(**{name: "x.pem"})
        assert "set both" in fault
    (fault,) = faults(TLS_CLIENT_CA="ca.pem")
    assert fault.startswith("HOOKPOST_TLS_CLIENT_CA: needs HOOKPOST_TLS_CERT")
    config = Config.from_env({f"HOOKPOST_{name}": value for name, value in both.items()})
    assert (config.tls_cert, config.tls_key, config.tls_client_ca) == (Path("a.pem"), Path("b.pem"), None)


def test_options_are_stronger_than_the_environment_unless_not_given() -> None:
    environ = {"HOOKPOST_ALLOW_HTTP": "true", "HOOKPOST_LOG_LEVEL": "error"}
    config = Config.from_env(environ, allow_http=False, log_level=None)
    assert (config.allow_http, config.log_level) == (False, "error")


def test_bodies_do_not_outlive_their_entries() -> None:
    assert Config().lifetimes == Lifetimes(Lifetime(7 * DAY), FOREVER, Lifetime(400 * DAY))
    (fault,) = faults(RETENTION="2d", BODY_RETENTION="49h")
    assert fault.startswith("HOOKPOST_BODY_RETENTION=49h: must not be longer than HOOKPOST_RETENTION=2d")
    for entries, bodies in (("2d", "48h"), ("2d", "forever"), ("forever", "900d"), ("forever", "forever")):
        config = Config.from_env({"HOOKPOST_RETENTION": entries, "HOOKPOST_BODY_RETENTION": bodies})
        assert config.lifetimes == Lifetimes(Lifetime.parse(entries), Lifetime.parse(bodies), Lifetime(400 * DAY))


def test_a_lease_outlives_the_longest_attempt() -> None:
    assert Config(lease_margin=1.0).lease == MAX_TIMEOUT + 1.0


def test_secrets_never_show() -> None:
    config = Config.from_env({"HOOKPOST_DATABASE_URL": f"postgresql://u:{CANARY}@h/d"})
    assert CANARY in config.database_url
    assert CANARY not in f"{config!r} {config} {config.table()}"
    assert ("HOOKPOST_DATABASE_URL", "(set)") in [row[:2] for row in config.table()]
    assert ("HOOKPOST_DATABASE_URL", "") in [row[:2] for row in Config().table()]


def test_the_table_tells_every_setting_as_it_is_read() -> None:
    config = Config(allow_http=True, allow_networks=(ipaddress.ip_network("10.0.0.0/8"),), log_level="debug")
    rows = config.table()
    assert [row[0] for row in rows] == [f"HOOKPOST_{each.name.upper()}" for each in dataclasses.fields(Config)]
    assert all(row[2] for row in rows)
    assert Config.from_env({name: value for name, value, _ in rows}) == config


def test_a_zero_is_handed_on_to_other_processes() -> None:
    config = Config.from_env({"HOOKPOST_SUSPEND_AFTER": "0"})
    assert Config.from_env(config.environment()) == config


def test_variables_that_nobody_reads_are_told_with_what_they_may_mean() -> None:
    read = {name: "1" for name, _, _ in Config().table()} | {"HOOKPOST_ADDRESS": "x", "HOOKPOST_TEST_CHROMIUM": "y"}
    slips = {"HOOKPOST_RETENTON": "1d", "HOOKPOST_QUITE_ELSE": "", "RETENTION": "1d"}
    told = {"HOOKPOST_QUITE_ELSE": "", "HOOKPOST_RETENTON": "HOOKPOST_RETENTION"}
    assert Config.unknown(read | slips) == told


def test_what_others_read_is_none_of_them() -> None:
    """Whatever the code looks up in the environment by name."""
    sources = [*(ROOT / "server/hookpost_server").rglob("*.py"), *(ROOT / "clients/python/hookpost").rglob("*.py")]
    named = {name for file in sources for name in re.findall(r"\bHOOKPOST_[A-Z_]*[A-Z]\b", file.read_text())}
    assert len(named) > 30
    assert Config.unknown(dict.fromkeys(named, "")) == {}
