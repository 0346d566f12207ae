"""Where the server is and how it is spoken to: what both clients share."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import grpc

from hookpost import credentials

DEFAULT_ADDRESS = "127.0.0.1:50051"
TIMEOUT = 10.0  # seconds for one call, its retries included

try:
    VERSION = version("hookpost")
except PackageNotFoundError:
    VERSION = "0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Settings of a connection; what is left out comes from the environment.

    `address`: `host:port` (HOOKPOST_ADDRESS, by default 127.0.0.1:50051), with `https://` or `http://` before it to say
    whether by TLS; without, TLS is on unless the host is this machine. `api_key`: HOOKPOST_API_KEY, or the content of
    HOOKPOST_API_KEY_FILE. `ca_file`: PEM of the authorities to trust (HOOKPOST_CA), by default those that gRPC brings.
    `certificate_file`, `key_file`: PEM, for a server that asks for a client's certificate (HOOKPOST_CLIENT_CERT,
    HOOKPOST_CLIENT_KEY). `server_name`: if the certificate is for another name than the address has. `insecure`: allows
    an API key to go to another machine without TLS.
    """

    address: str = field(default_factory=lambda: os.environ.get("HOOKPOST_ADDRESS") or DEFAULT_ADDRESS)
    api_key: str = field(default_factory=lambda: credentials.api_key(os.environ), repr=False)
    ca_file: str = field(default_factory=lambda: os.environ.get("HOOKPOST_CA", ""))
    certificate_file: str = field(default_factory=lambda: os.environ.get("HOOKPOST_CLIENT_CERT", ""))
    key_file: str = field(default_factory=lambda: os.environ.get("HOOKPOST_CLIENT_KEY", ""))
    server_name: str = ""
    insecure: bool = False

    @classmethod
    def of(cls, address: str = "", **settings: Any) -> Self:
        """With this address, if one is given."""
        return cls(**settings | ({"address": address} if address else {}))

    @property
    def target(self) -> str:
        """The address as gRPC has it."""
        return self.address.removeprefix("https://").removeprefix("http://").rstrip("/")

    def credentials(self) -> grpc.ChannelCredentials | None:
        """None: without TLS. Raises ValueError when an API key would be sent in the open, or files do not fit."""
        local = _is_local(self.target)
        if self.address.startswith("https://") or not (local or self.address.startswith("http://")):
            if bool(self.certificate_file) != bool(self.key_file):
                raise ValueError("certificate_file and key_file belong together")
            return grpc.ssl_channel_credentials(_read(self.ca_file), _read(self.key_file), _read(self.certificate_file))
        if self.api_key and not local and not self.insecure:
            raise ValueError(
                f"the API key would go to {self.target} without TLS; say https://, or insecure=True if the way is safe"
            )
        return None

    def metadata(self) -> Sequence[tuple[str, str]]:
        """What goes with every call."""
        return credentials.bearer(self.api_key)

    def options(self) -> list[tuple[str, str | int]]:
        """gRPC's channel options: retries by the service config, keep-alive as the server allows it."""
        return [
            ("grpc.service_config", (files("hookpost") / "service_config.json").read_text()),
            ("grpc.primary_user_agent", f"hookpost-python/{VERSION}"),
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", 15_000),
            ("grpc.max_receive_message_length", 16 * 1024 * 1024),
            *((("grpc.ssl_target_name_override", self.server_name),) if self.server_name else ()),
        ]


def _is_local(address: str) -> bool:
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]") or address
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _read(path: str) -> bytes | None:
    return Path(path).read_bytes() if path else None
