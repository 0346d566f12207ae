"""A PostgreSQL that may be broken and started again."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path

from hookpost_server.embedded import EmbeddedPostgres


class Postgres:
    """One server of an experiment's own, durable as in production."""

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        self._server = EmbeddedPostgres(directory, settings=settings)
        self.url = ""  # changes with each start

    @property
    def alive(self) -> bool:
        return self._server.pid is not None

    async def start(self) -> str:
        self.url = await self._server.start()
        return self.url

    async def crash(self) -> None:
        """As `pg_ctl stop -m immediate`: no connection is closed in order, recovery follows at the next start."""
        assert self._server.pid
        os.kill(self._server.pid, signal.SIGQUIT)
        await self._server.wait()
        await self._server.stop()

    async def stop(self) -> None:
        await self._server.stop()

    async def __aenter__(self) -> Postgres:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
