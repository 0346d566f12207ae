"""Host names as addresses: asked of name servers without threads, within a bound, and only what may be reached."""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver, ResolveResult

from .gate import Gate, check_shortage

DNS_TIMEOUT, DNS_TRIES = 2.0, 2  # seconds for one question at first, and how often it is asked
DNS_LIMIT = 4.5  # seconds for all questions about a name, whatever the name servers do
DNS_TTL = 10  # seconds for which an answer is used again
MOST_TRIED = 4  # addresses of a name
MOST = 10_000  # names remembered

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Answer:
    addresses: tuple[str, ...]
    until: float  # monotonic


class Names(AbstractResolver):
    """Asks name servers itself: the system's resolver would need a thread for each name that does not answer."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._resolver = aiohttp.AsyncResolver(
            timeout=DNS_TIMEOUT, tries=DNS_TRIES, nameservers=gate.name_servers or None
        )
        self._answers: dict[tuple[str, int], _Answer] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """1 to MOST_TRIED addresses, IPv6 and IPv4 in turn; refused ones only if there are no others.

        Raises OSError when the name can't be resolved, NoSocket when that is for want of one.
        """
        try:
            async with asyncio.timeout(DNS_LIMIT):
                found = await self._resolver.resolve(host, port, family)
        except OSError as error:
            check_shortage()
            # A TimeoutError is one too, but would be taken for the end of the whole exchange.
            raise OSError(None, "the name servers know no address, or do not answer") from error
        open_ones = [each for each in found if self._gate.permits(each["host"])]
        if not open_ones:
            return found[:1]  # the gate refuses it where the socket is made
        if refused := len(found) - len(open_ones):
            log.info("names.filtered", host=host, refused=refused)
        return in_turn(open_ones)[:MOST_TRIED]

    async def addresses(self, host: str, port: int) -> tuple[str, ...]:
        """The same as text, from memory for DNS_TTL."""
        known = self._answers.get((host, port))
        if known is not None and known.until > time.monotonic():
            return known.addresses
        found = tuple(each["host"] for each in await self.resolve(host, port))
        if len(self._answers) >= MOST:
            self._answers.clear()
        self._answers[host, port] = _Answer(found, time.monotonic() + DNS_TTL)
        return found

    async def close(self) -> None:
        """Gives up all questions."""
        await self._resolver.close()


def in_turn(found: Sequence[ResolveResult]) -> list[ResolveResult]:
    """The families alternate, the first one first: dead addresses of one do not use up all that are tried."""
    first = [each for each in found if each["family"] == found[0]["family"]]
    others = [each for each in found if each["family"] != found[0]["family"]]
    both = itertools.chain.from_iterable(itertools.zip_longest(first, others))
    return [each for each in both if each is not None]
