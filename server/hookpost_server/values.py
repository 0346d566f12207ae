"""What the text of a setting means, and back. Each raises ValueError with a sentence that says what it must be."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .domain import headers
from .domain.retention import Lifetime
from .failpoints import Failpoint

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens. Port 0 lets the system choose one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        found = re.fullmatch(r"(?:\[([^][]+)]|([^][]+)):([0-9]{1,5})", text)
        if not found or int(found[3]) > 65535:
            raise ValueError('must be HOST:PORT, e.g. "127.0.0.1:50051" or "[::1]:50051"')
        return cls(found[1] or found[2], int(found[3]))

    @property
    def is_loopback(self) -> bool:
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address_or_off(value: str) -> Address | None:
    return None if value == "off" else Address.parse(value)


def path_or_off(value: str) -> Path | None:
    return None if value == "off" else Path(value)


def failpoint_or_off(value: str) -> Failpoint | None:
    return None if value == "off" else Failpoint.parse(value)


def text(value: str) -> str:
    return value


def boolean(value: str) -> bool:
    match value.strip().lower():
        case "1" | "true" | "yes" | "on":
            return True
        case "0" | "false" | "no" | "off":
            return False
    raise ValueError("must be true or false")


def between(low: float, high: float) -> Callable[[str], float]:
    def parse(value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise ValueError(f"must be a number from {low:.12g} to {high:.12g}")
        return number

    return parse


def zero_or_between(low: float, high: float) -> Callable[[str], float]:
    otherwise = between(low, high)

    def parse(value: str) -> float:
        try:
            return 0.0 if value.strip() in ("0", "0.0") else otherwise(value)
        except ValueError as error:
            raise ValueError(f"{error}, or 0") from None

    return parse


def count(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        try:
            number = int(value)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return number

    return parse


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return value

    return parse


def networks(value: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(part.strip()) for part in value.split(",") if part.strip())


def name_servers(value: str) -> tuple[str, ...]:
    return tuple(_name_server(part.strip()) for part in value.split(",") if part.strip())


def _name_server(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    try:
        address = Address.parse(text)
        ipaddress.ip_address(address.host)
    except ValueError:
        raise ValueError("must be IP addresses, with or without a port, e.g. 192.0.2.53 or [2001:db8::53]:53") from None
    return str(address)


def ports(value: str) -> tuple[int, ...]:
    return tuple(count(1, 65535)(part) for part in value.split(",") if part.strip())


def host_names(value: str) -> tuple[str, ...]:
    names = tuple(part.strip().lower() for part in value.split(",") if part.strip())
    for name in names:
        if not re.fullmatch(r"[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\]", name):
            raise ValueError('must be host names without scheme and port, such as "hooks.example.com"')
    return names


def header_name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]{1,64}", value):
        raise ValueError("must be a header name of 1 to 64 lower-case letters, digits and hyphens")
    if not headers.may_sign(value):
        raise ValueError("must not be a header that Hookpost or the connection sets itself; take another name")
    return value


def lifetime(shortest: float) -> Callable[[str], Lifetime]:
    def parse(value: str) -> Lifetime:
        lifetime = Lifetime.parse(value.strip())
        if lifetime.seconds is not None and lifetime.seconds < shortest:
            raise ValueError(f"must be at least {Lifetime(shortest)}")
        return lifetime

    return parse


def as_text(value: Any) -> str:
    if value is None:
        return "off"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
