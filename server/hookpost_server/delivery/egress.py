"""How connections leave, and the words for how they fail: what senders share, and aiohttp's connector."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp.helpers import sentinel

from .gate import Gate, is_shortage
from .names import DNS_TTL, Names

KEEP_IDLE = 60.0  # seconds that an idle connection is kept; one that its receiver closed meanwhile is replaced


@dataclass(slots=True)
class Exchange:
    """What the connector learns about one exchange and its exceptions do not tell."""

    reused: bool = False  # the connection was open before
    connected: bool = False
    sent: bool = False  # the request went out, its body included
    refused: bool = False  # an address was refused
    short: bool = False  # no socket could be made
    tls: bool = False
    handshaking: bool = False  # holds a turn for its handshake
    bound: asyncio.Timeout | None = None


def phase_of(timeout: float, *, connected: bool, sent: bool) -> str:
    """Where an exchange was when its time was up."""
    phase = "waiting for the answer" if sent else "sending the request" if connected else "connecting"
    return f"timed out after {timeout:g} s while {phase}"


def word_for(error: OSError) -> str:
    """The operating system's or TLS's word for it, without addresses."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "handshake failed").replace("_", " ").lower()
    # By number, because asyncio writes the address into the text.
    if error.errno is None or error.errno not in errno.errorcode:
        return "the connection could not be made or broke"
    return os.strerror(error.errno).lower()


def certificate_fault(error: BaseException) -> str:
    """What is wrong with a certificate."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate: {error.verify_message}"
    return "certificate: not valid for this host"


exchange: contextvars.ContextVar[Exchange] = contextvars.ContextVar("exchange")


def socket_factory(gate: Gate) -> Callable[[Any], socket.socket]:
    """Makes sockets for permitted addresses only.

    Called for every address, literal or resolved, right before the connection to that same address is made: no
    spelling of a URL and no second DNS answer gets around it. What can't be parsed is refused.
    """

    def make(info: Any) -> socket.socket:
        family, kind, protocol, _, address = info
        current = exchange.get(None)
        try:
            if not gate.lets(address[0], address[1]):
                if current:
                    current.refused = True
                raise OSError(errno.EACCES, "address refused")
            made = socket.socket(family, kind, protocol)
        except OSError as error:
            if current and is_shortage(error):
                current.short = True
            raise
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return made

    return make


def tls_context() -> ssl.SSLContext:
    """TLS 1.2 or newer, certificate and host name verified; no key log, whatever the environment says."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_default_certs()
    return context


def connector(gate: Gate, names: Names, tls: ssl.SSLContext, *, keep: bool) -> aiohttp.TCPConnector:
    """Unlimited, because the dispatcher has the limits; `keep` keeps connections for reuse."""
    return aiohttp.TCPConnector(
        limit=0,
        ssl=tls,
        resolver=names,
        ttl_dns_cache=DNS_TTL,
        socket_factory=socket_factory(gate),
        force_close=not keep,
        keepalive_timeout=KEEP_IDLE if keep else sentinel,
    )
