"""Host names as addresses, for a sender that is told where to connect."""

from __future__ import annotations

import time
from dataclasses import dataclass

import aiohttp

from .egress import DNS_TIMEOUT, DNS_TRIES, DNS_TTL

MOST = 10_000  # names remembered


@dataclass(frozen=True, slots=True)
class _Answer:
    addresses: tuple[str, ...]
    until: float  # monotonic


class Names:
    """Asks name servers itself, without threads, and remembers the answers for DNS_TTL."""

    def __init__(self) -> None:
        self._resolver = aiohttp.AsyncResolver(timeout=DNS_TIMEOUT, tries=DNS_TRIES)
        self._answers: dict[tuple[str, int], _Answer] = {}

    async def addresses(self, host: str, port: int) -> tuple[str, ...]:
        """At least one address, as text. Raises OSError when the name can't be resolved."""
        known = self._answers.get((host, port))
        if known is not None and known.until > time.monotonic():
            return known.addresses
        found = tuple(each["host"] for each in await self._resolver.resolve(host, port))
        if len(self._answers) >= MOST:
            self._answers.clear()
        self._answers[host, port] = _Answer(found, time.monotonic() + DNS_TTL)
        return found

    async def close(self) -> None:
        """Gives up all questions."""
        await self._resolver.close()
