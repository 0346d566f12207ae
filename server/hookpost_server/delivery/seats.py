"""Seats on the kept connections of one TLS host.

libcurl tells only afterwards whether it made a connection, so this counts for itself: a request that finds no seat
waits for whichever comes first, a seat that another request leaves or a turn for a handshake of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque

from .egress import KEEP_IDLE
from .handshakes import Handshakes


class Seats:
    """A guess, put right by each exchange: a seat too many costs one handshake without a turn."""

    __slots__ = ("_free", "_left", "_waiting")

    def __init__(self) -> None:
        self._free = 0
        self._left = 0.0  # loop time at which one was left last
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self, handshakes: Handshakes) -> bool:
        """True: a handshake is to be made, and its turn (if patience lasted) to be ended by `Handshakes.end`.

        `leave` must follow in either case.
        """
        loop = asyncio.get_running_loop()
        if self._free and loop.time() - self._left > KEEP_IDLE:
            self._free = 0
        if self._free:
            self._free -= 1
            return False
        seat: asyncio.Future[None] = loop.create_future()
        self._waiting.append(seat)
        try:
            async with asyncio.TaskGroup() as either:
                turn = either.create_task(handshakes.begin())
                await asyncio.wait((seat, turn), return_when=asyncio.FIRST_COMPLETED)
                if not turn.done():
                    turn.cancel()
        except asyncio.CancelledError:
            if not seat.cancel():
                self.leave(kept=True)
            raise
        finally:
            has_turn = not turn.cancelled() and turn.result()
            if has_turn and seat.done():
                handshakes.end()
        if seat.done():
            return False
        self._waiting.remove(seat)
        return has_turn

    def leave(self, *, kept: bool) -> None:
        """The exchange is over; `kept`: its connection can serve another."""
        if not kept:
            return
        self._left = asyncio.get_running_loop().time()
        while self._waiting:
            seat = self._waiting.popleft()
            if not seat.done():
                seat.set_result(None)
                return
        self._free += 1
