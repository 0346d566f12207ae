"""Host names as addresses, for a sender that is told where to connect."""

from __future__ import annotations

import asyncio
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
    """Asks name servers itself, without threads; callers who ask for the same name share the question."""

    def __init__(self) -> None:
        self._resolver = aiohttp.AsyncResolver(timeout=DNS_TIMEOUT, tries=DNS_TRIES)
        self._answers: dict[tuple[str, int], _Answer] = {}
        self._asking: dict[tuple[str, int], asyncio.Task[tuple[str, ...]]] = {}

    async def addresses(self, host: str, port: int) -> tuple[str, ...]:
        """At least one address, as text. Raises OSError when the name can't be resolved."""
        known = self._answers.get((host, port))
        if known is not None and known.until > time.monotonic():
            return known.addresses
        question = self._asking.get((host, port))
        if question is None:
            question = self._asking[host, port] = asyncio.create_task(self._ask(host, port))
            question.add_done_callback(lambda done: self._asked(host, port, done))
        return await asyncio.shield(question)

    async def close(self) -> None:
        """Gives up all questions."""
        for question in self._asking.values():
            question.cancel()
        await self._resolver.close()

    async def _ask(self, host: str, port: int) -> tuple[str, ...]:
        found = await self._resolver.resolve(host, port)
        return tuple(each["host"] for each in found)

    def _asked(self, host: str, port: int, question: asyncio.Task[tuple[str, ...]]) -> None:
        del self._asking[host, port]
        if question.cancelled() or question.exception() is not None:
            return
        if len(self._answers) >= MOST:
            self._answers.clear()
        self._answers[host, port] = _Answer(question.result(), time.monotonic() + DNS_TTL)
