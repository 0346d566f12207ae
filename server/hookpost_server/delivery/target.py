"""Where a URL leads, taken apart once."""

from __future__ import annotations

import functools
import ipaddress
import re
from dataclasses import dataclass

import yarl

Origin = tuple[bool, str, int]  # what a connection can be used for: by TLS or not, host, port


@dataclass(frozen=True, slots=True)
class Target:
    """A URL's parts, as a request is made of them."""

    url: str
    path: str  # and query, as in the URL
    host: str
    port: int
    authority: str  # what `host:` says
    literal: bool  # the host is an address
    tls: bool

    @property
    def origin(self) -> Origin:
        return self.tls, self.host, self.port


@functools.lru_cache(maxsize=4096)
def target_of(url: str) -> Target:
    """Raises ValueError for what is no URL of ours."""
    parts = yarl.URL(url, encoded=True)
    host, port, authority = parts.raw_host, parts.port, parts.host_port_subcomponent
    if parts.scheme not in ("http", "https") or not host or port is None or not authority:
        raise ValueError("the URL must be http or https and name a host")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        literal = False
    else:
        literal = True
    # What ends in a number is an address to some and a name to others (WHATWG URL, "ends in a number").
    if not literal and not re.fullmatch(
        r"(?:[a-zA-Z0-9_-]+\.)*(?!\d+\.?$|0[xX][0-9a-fA-F]*\.?$)[a-zA-Z0-9_-]+\.?", host
    ):
        raise ValueError("the URL's host is neither a name nor an address")
    return Target(str(parts), parts.raw_path_qs, host, port, authority, literal, parts.scheme == "https")
