"""A sender on libcurl, through pycurl's asyncio multi.

libcurl repeats a request by itself when a kept connection turns out to be closed and no byte of an answer came; it
follows no redirects, keeps no cookies and reads no environment, as `curl_transfer.py` tells it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

import pycurl

from ..domain.delivery import Outcome, Result
from ..domain.request import Request
from .curl_transfer import Transfer
from .egress import phase_of
from .gate import Gate
from .handshakes import Handshakes
from .idle import MAX_IDLE, most_idle
from .names import Names
from .seats import Seats
from .target import Target, target_of


class CurlSender:
    """See `sender.Sender`."""

    def __init__(self, gate: Gate, *, tls: ssl.SSLContext | None = None) -> None:
        """`tls`: whose authorities to trust instead of the system's."""
        self._multi = pycurl.AsyncCurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, most_idle())
        self._gate = gate
        self._trust = _trust(tls)
        self._names = Names(gate)
        self._handshakes = Handshakes()
        self._seats: dict[tuple[str, int], Seats] = {}  # of TLS hosts
        self._spare: list[Transfer] = []

    async def close(self) -> None:
        await self._names.close()
        await self._multi.aclose()
        for transfer in self._spare:
            transfer.handle.close()
        self._spare.clear()

    async def send(self, request: Request) -> Outcome:
        target = target_of(request.url)
        deadline = asyncio.get_running_loop().time() + request.timeout
        resolve: list[str] = []
        if not target.literal:
            try:
                async with asyncio.timeout_at(deadline):
                    found = await self._names.addresses(target.host, target.port)
            except TimeoutError:
                return Outcome(result=Result.TIMED_OUT, error=phase_of(request.timeout, connected=False, sent=False))
            except OSError:
                return Outcome(result=Result.DNS_FAILED, error="the host's name could not be resolved")
            resolve = [f"+{target.host}:{target.port}:{','.join(found)}"]
        transfer = self._spare.pop() if self._spare else Transfer(self._gate, self._trust)
        if target.tls:
            outcome = await self._send_by_tls(transfer, request, target, resolve, deadline)
        else:
            outcome = await self._perform(transfer, request, target, resolve, deadline)
        self._spare.append(transfer)  # not reached when cancelled: libcurl may still be letting go of the handle
        return outcome

    async def _send_by_tls(
        self, transfer: Transfer, request: Request, target: Target, resolve: list[str], deadline: float
    ) -> Outcome:
        """Takes a seat on a kept connection, or a turn for a handshake."""
        loop = asyncio.get_running_loop()
        origin = (target.host, target.port)
        seats = self._seats.get(origin)
        if seats is None:
            if len(self._seats) > MAX_IDLE:
                self._seats.clear()
            seats = self._seats[origin] = Seats()
        before = loop.time()
        turn = await seats.take(self._handshakes)
        if turn:
            transfer.connected = _once(self._handshakes.end)
        deadline += loop.time() - before  # the wait is not the receiver's
        kept = False
        try:
            outcome = await self._perform(transfer, request, target, resolve, deadline)
            # With a turn but no new connection it sat on one that was left meanwhile: that seat is counted already.
            kept = transfer.keeps and not (turn and not transfer.handle.getinfo(pycurl.NUM_CONNECTS))
            return outcome
        finally:
            transfer.connected()
            seats.leave(kept=kept)

    async def _perform(
        self, transfer: Transfer, request: Request, target: Target, resolve: list[str], deadline: float
    ) -> Outcome:
        outcome = await self._exchange(transfer, request, target, resolve, deadline)
        if outcome.result is Result.CONNECTION_LOST and transfer.unheard:
            # After a receiver's restart all kept connections are dead; libcurl gives up after a few of them.
            transfer.handle.setopt(pycurl.FRESH_CONNECT, 1)
            try:
                outcome = await self._exchange(transfer, request, target, resolve, deadline)
            finally:
                transfer.handle.setopt(pycurl.FRESH_CONNECT, 0)
        return outcome

    async def _exchange(
        self, transfer: Transfer, request: Request, target: Target, resolve: list[str], deadline: float
    ) -> Outcome:
        left = deadline - asyncio.get_running_loop().time()
        transfer.prepare(request, target, resolve, max(1, int(left * 1000)))
        try:
            await self._multi.add_handle(transfer.handle)
        except pycurl.error as error:
            return transfer.failed(error.args[0], str(error.args[1]), request)
        return transfer.ended()


def _once(call: Callable[[], None]) -> Callable[[], None]:
    called = False

    def once() -> None:
        nonlocal called
        if not called:
            called = True
            call()

    return once


def _trust(tls: ssl.SSLContext | None) -> dict[int, Any]:
    """Options that name the authorities: libcurl's own TLS library does not know where this system keeps them."""
    if tls is not None:
        pem = "".join(ssl.DER_cert_to_PEM_cert(each) for each in tls.get_ca_certs(binary_form=True))
        return {pycurl.CAINFO_BLOB: pem.encode()}
    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        return {pycurl.CAINFO: paths.cafile}
    return {pycurl.CAPATH: paths.capath} if paths.capath else {}
