"""What the dispatcher sleeps by: rung now, or later, or not at all until its time is over."""

from __future__ import annotations

import asyncio
import contextlib


class Alarm:
    """Rings once for all that rang since the last sleep."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def ring(self) -> None:
        """Ends the sleep, or the next one at once."""
        self._rung.set()

    def ring_in(self, delay: float) -> None:
        """Rings after `delay` seconds, unless it will sooner."""
        loop = asyncio.get_running_loop()
        when = loop.time() + delay
        if self._timer is not None and loop.time() < self._timer.when() <= when:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(when, self._rung.set)

    async def sleep(self, longest: float) -> None:
        """Until it rings, at most `longest` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest):
                await self._rung.wait()
        self._rung.clear()
