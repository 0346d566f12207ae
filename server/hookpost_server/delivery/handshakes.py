"""Turns for TLS handshakes: each costs a millisecond of the loop, so a burst of them must not hold up everything."""

from __future__ import annotations

import asyncio

MOST = 32  # under way at once
SPACING = 0.002  # seconds between two beginnings
PATIENCE = 5.0  # seconds to wait for a turn; then it is begun without one


class Handshakes:
    """Lets new TLS connections begin a few at a time and evenly spread."""

    def __init__(self, *, most: int = MOST, spacing: float = SPACING) -> None:
        self._slots = asyncio.Semaphore(most)
        self._spacing = spacing
        self._door = asyncio.Lock()  # held by the one whose turn is next
        self._next = 0.0  # loop time

    async def begin(self) -> bool:
        """Waits for a turn. True: `end` must be called; False: patience ended first.

        A wait that is cancelled leaves nothing behind: the next in line begins when that one would have.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._slots.acquire()
        except TimeoutError:
            return False
        try:
            async with self._door:
                if (wait := self._next - loop.time()) > 0:
                    await asyncio.sleep(wait)
                self._next = loop.time() + self._spacing
        except asyncio.CancelledError:
            self._slots.release()
            raise
        return True

    def end(self) -> None:
        """The handshake is over, well or badly."""
        self._slots.release()
