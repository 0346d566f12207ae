"""The fast sender: a protocol of our own on the loop's transports, with llhttp for the answers."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from typing import Any

import aiohappyeyeballs

from ..domain import errors
from ..domain.delivery import Outcome, Result
from ..domain.request import Request
from .egress import Exchange, certificate_fault, exchange, phase_of, socket_factory, tls_context, word_for
from .gate import Gate
from .handshakes import Handshakes
from .idle import Idle
from .names import Names
from .native_connection import READ_SIZE, Connection
from .target import Target, target_of

NEXT_ADDRESS_AFTER = 0.25  # seconds until the next address of a name is tried beside the one before (RFC 8305)


class NativeSender:
    """See `sender.Sender`."""

    def __init__(self, gate: Gate, *, tls: ssl.SSLContext | None = None) -> None:
        """`tls`: whose authorities to trust instead of the system's."""
        self._make_socket = socket_factory(gate)
        self._tls = tls or tls_context()
        self._names = Names(gate)
        self._handshakes = Handshakes()
        self._idle = Idle()
        self._busy: set[Connection] = set()
        self._buffer = memoryview(bytearray(READ_SIZE))

    async def close(self) -> None:
        self._idle.close()
        for connection in self._busy:
            connection.close()
        await self._names.close()

    async def send(self, request: Request) -> Outcome:
        target = target_of(request.url)
        data = _written(request, target)
        deadline = asyncio.get_running_loop().time() + request.timeout
        outcome = None
        connection = self._idle.take(target.origin)
        if connection is not None:
            outcome = await self._ask(connection, data, request, deadline)
        while outcome is None:  # twice at most: a connection that never served answers with something
            try:
                fresh = connection is not None
                connection, deadline = await self._connect(target, request.timeout, deadline, fresh=fresh)
            except _NoConnectionError as error:
                return error.outcome
            outcome = await self._ask(connection, data, request, deadline)
        return outcome

    async def _ask(self, connection: Connection, data: bytes, request: Request, deadline: float) -> Outcome | None:
        self._busy.add(connection)
        try:
            outcome = await connection.ask(data, deadline, request.timeout)
        except asyncio.CancelledError:
            connection.close()
            raise
        finally:
            self._busy.discard(connection)
        if connection.reusable:
            self._idle.put(connection)
        else:
            connection.close()
        return outcome

    async def _connect(
        self, target: Target, timeout: float, deadline: float, *, fresh: bool
    ) -> tuple[Connection, float]:
        """A connection, and the deadline moved by the time that was spent waiting for a turn to make it.

        It may be one that was left meanwhile, unless it must be `fresh`. Raises _NoConnectionError and NoSocket.
        """
        if not target.tls:
            return await self._open(target, timeout, deadline), deadline
        loop = asyncio.get_running_loop()
        before = loop.time()
        turn = await self._handshakes.begin()
        deadline += loop.time() - before
        try:
            left = None if fresh else self._idle.take(target.origin)
            return left or await self._open(target, timeout, deadline), deadline
        finally:
            if turn:
                self._handshakes.end()

    async def _open(self, target: Target, timeout: float, deadline: float) -> Connection:
        """Resolves, connects and shakes hands. Raises _NoConnectionError and NoSocket."""
        current = Exchange()
        exchange.set(current)
        made = None
        try:
            async with asyncio.timeout_at(deadline):
                addresses = [target.host] if target.literal else await self._resolved(target)
                made = await aiohappyeyeballs.start_connection(
                    [_info(address, target.port) for address in addresses],
                    happy_eyeballs_delay=NEXT_ADDRESS_AFTER,
                    socket_factory=self._make_socket,
                )
                current.connected = True
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: Connection(target.origin, self._buffer, self._idle.ended),
                    sock=made,
                    ssl=self._tls if target.tls else None,
                    server_hostname=target.host.rstrip(".") if target.tls else None,
                )
                return connection
        except TimeoutError as error:
            words = phase_of(timeout, connected=False, sent=False)
            raise _NoConnectionError(Outcome(result=Result.TIMED_OUT, error=words)) from error
        except ssl.CertificateError as error:
            raise _NoConnectionError(Outcome(result=Result.TLS_FAILED, error=certificate_fault(error))) from error
        except ssl.SSLError as error:
            raise _NoConnectionError(Outcome(result=Result.TLS_FAILED, error=f"TLS: {word_for(error)}")) from error
        except OSError as error:
            if current.short:
                raise errors.NoSocket from error
            raise _NoConnectionError(_not_connected(error, current)) from error

    async def _resolved(self, target: Target) -> tuple[str, ...]:
        try:
            return await self._names.addresses(target.host, target.port)
        except TimeoutError:
            raise
        except OSError as error:
            words = "the host's name could not be resolved"
            raise _NoConnectionError(Outcome(result=Result.DNS_FAILED, error=words)) from error


class _NoConnectionError(Exception):
    """There is no connection, which is an outcome."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


def _not_connected(error: OSError, current: Exchange) -> Outcome:
    if current.refused and not current.connected:  # else it was lost amid the handshake
        return Outcome(result=Result.ADDRESS_REFUSED, error="the address is not one that may be reached")
    return Outcome(result=Result.CONNECT_FAILED, error=word_for(error))


def _info(address: str, port: int) -> Any:
    """As `getaddrinfo` would say it."""
    if ipaddress.ip_address(address).version == 4:
        return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)
    return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0)


def _written(request: Request, target: Target) -> bytes:
    """The request's bytes. Raises ValueError for a header that would be more than one."""
    lines = [f"POST {target.path} HTTP/1.1", f"host: {target.authority}"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    head = "\r\n".join(lines).encode()
    if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1:
        raise ValueError("a header holds a line break")
    return b"%b\r\ncontent-length: %d\r\n\r\n%b" % (head, len(request.body), request.body)
