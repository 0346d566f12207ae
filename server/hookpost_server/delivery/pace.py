"""How fast attempts may begin, so that a large claim does not hold up calls, nor outcomes the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

BURST = 64  # attempts that begin in one pass of the event loop: each takes 0.1 to 0.2 ms of it
RECORDER_PAUSE = 0.05  # seconds to wait when outcomes come faster than they are written


class Pace:
    """Asked before each start. Whoever was told to wait is called as soon as another start is allowed."""

    def __init__(self, full: Callable[[], bool], resume: Callable[[], None]) -> None:
        """`full`: whether so many outcomes wait for the database that no attempt may begin."""
        self._full = full
        self._resume = resume
        self._begun = 0  # in this pass of the loop
        self._awaited = False  # `resume` will be called

    def holds(self) -> bool:
        """Whether no attempt may begin now."""
        if self._begun >= BURST:
            self._awaited = True
        elif not self._awaited and self._full():
            self._awaited = True
            asyncio.get_running_loop().call_later(RECORDER_PAUSE, self._go_on)
        return self._awaited

    def begin(self) -> None:
        """An attempt begins."""
        self._begun += 1
        if self._begun == 1:
            asyncio.get_running_loop().call_soon(self._next_pass)

    def _next_pass(self) -> None:
        full, self._begun = self._begun >= BURST, 0
        if full and self._awaited:
            self._go_on()

    def _go_on(self) -> None:
        self._awaited = False
        self._resume()
