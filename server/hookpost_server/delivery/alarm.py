"""What the dispatcher sleeps by: rung now, or later, or not at all until its time is over."""

from __future__ import annotations

import asyncio
import contextlib


class Alarm:
    """Rings once for all that rang since the last sleep."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._timer: asyncio.Handle | None = None
        self._due = 0.0  # when it rings; uvloop's handle of what is due at once can't tell

    def ring(self) -> None:
        """Ends the sleep, or the next one at once."""
        self._rung.set()

    def ring_in(self, delay: float) -> None:
        """Rings after `delay` seconds, unless it will sooner."""
        loop = asyncio.get_running_loop()
        when = loop.time() + delay
        if loop.time() < self._due <= when:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._due = loop.call_at(when, self._rung.set), when

    async def sleep(self, longest: float) -> None:
        """Until it rings, at most `longest` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest):
                await self._rung.wait()
        self._rung.clear()
