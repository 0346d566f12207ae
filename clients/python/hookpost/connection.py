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

DEFAULT_ADDRESS = "127.0.0.1:50051"
TIMEOUT = 10.0  # seconds for one call, its retries included

try:
    VERSION = version("hookpost")
except PackageNotFoundError:
    VERSION = "0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Settings of a connection; what is left out comes from the environment.

    `address`: `host:port` (HOOKPOST_ADDRESS, by default 127.0.0.1:50051). `api_key`: HOOKPOST_API_KEY.
    `ca_file`: PEM of the authorities to trust (HOOKPOST_CA_FILE), by default those that gRPC brings.
    `certificate_file`, `key_file`: PEM, for a server that asks for a client's certificate. `server_name`: if the
    certificate is for another name than the address has. `tls`: on, unless the host is this machine.
    `insecure`: allows an API key to go to another machine without TLS.
    """

    address: str = field(default_factory=lambda: os.environ.get("HOOKPOST_ADDRESS", DEFAULT_ADDRESS))
    api_key: str = field(default_factory=lambda: os.environ.get("HOOKPOST_API_KEY", ""), repr=False)
    ca_file: str = field(default_factory=lambda: os.environ.get("HOOKPOST_CA_FILE", ""))
    certificate_file: str = ""
    key_file: str = ""
    server_name: str = ""
    tls: bool | None = None
    insecure: bool = False

    @classmethod
    def of(cls, address: str = "", **settings: Any) -> Self:
        """With this address, if one is given."""
        return cls(**settings | ({"address": address} if address else {}))

    def credentials(self) -> grpc.ChannelCredentials | None:
        """None: without TLS. Raises ValueError when an API key would be sent in the open, or files do not fit."""
        local = _is_local(self.address)
        if self.tls if self.tls is not None else not local:
            if bool(self.certificate_file) != bool(self.key_file):
                raise ValueError("certificate_file and key_file belong together")
            return grpc.ssl_channel_credentials(_read(self.ca_file), _read(self.key_file), _read(self.certificate_file))
        if self.api_key and not local and not self.insecure:
            raise ValueError(
                f"the API key would go to {self.address} without TLS; leave tls on, or say insecure=True if the way "
                "there is safe"
            )
        return None

    def metadata(self) -> Sequence[tuple[str, str]]:
        """What goes with every call."""
        return (("authorization", f"Bearer {self.api_key}"),) if self.api_key else ()

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
