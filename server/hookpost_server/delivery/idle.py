"""Connections that are kept for the next request to the same origin."""

from __future__ import annotations

import asyncio
import resource

from .egress import KEEP_IDLE
from .native_connection import Connection
from .sender import MAX_LIFE
from .target import Origin

MAX_IDLE = 2000  # of all hosts together; a quarter of the open files that are allowed, if less


class Idle:
    """The newest of an origin is used first, so that those beyond need grow old and go."""

    def __init__(self) -> None:
        self._most = most_idle()
        self._by_origin: dict[Origin, list[Connection]] = {}
        self._all: dict[Connection, None] = {}  # the longest idle first
        self._sweep: asyncio.TimerHandle | None = None

    def take(self, origin: Origin) -> Connection | None:
        """One that is idle no more."""
        kept = self._by_origin.get(origin)
        now = asyncio.get_running_loop().time()
        while kept:
            connection = kept.pop()
            del self._all[connection]
            if not kept:
                del self._by_origin[origin]
            if now - connection.left < KEEP_IDLE and now - connection.born < MAX_LIFE:
                return connection
            connection.close()
        return None

    def put(self, connection: Connection) -> None:
        """Its request was answered; it waits for the next."""
        loop = asyncio.get_running_loop()
        connection.left = loop.time()
        self._by_origin.setdefault(connection.origin, []).append(connection)
        self._all[connection] = None
        if len(self._all) > self._most:
            self._drop(next(iter(self._all)))
        if self._sweep is None:
            self._sweep = loop.call_later(KEEP_IDLE, self._drop_old)

    def ended(self, connection: Connection) -> None:
        """It is closed; it may not have been idle."""
        if connection in self._all:
            del self._all[connection]
            kept = self._by_origin[connection.origin]
            kept.remove(connection)
            if not kept:
                del self._by_origin[connection.origin]

    def close(self) -> None:
        """Closes all."""
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in list(self._all):
            self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        self.ended(connection)
        connection.close()

    def _drop_old(self) -> None:
        """Closes those that are idle for too long; called while there are any."""
        loop = asyncio.get_running_loop()
        while (oldest := next(iter(self._all), None)) and loop.time() - oldest.left >= KEEP_IDLE:
            self._drop(oldest)
        self._sweep = loop.call_at(oldest.left + KEEP_IDLE, self._drop_old) if oldest else None


def most_idle() -> int:
    """How many connections may be kept without need."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_IDLE if soft == resource.RLIM_INFINITY else min(MAX_IDLE, soft // 4)
