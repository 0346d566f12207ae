"""A program of the suite in a process of its own: `receiver` or `producer`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

PATIENCE = 90.0  # seconds for an answer; a producer may wait for a server that comes back


class Program:
    """Told by lines on its standard input, and answers by lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def read(self) -> str:
        """Its next line. Raises AssertionError when it ended instead."""
        assert self._process.stdout
        async with asyncio.timeout(PATIENCE):
            line = await self._process.stdout.readline()
        assert line, "the program has ended"
        return line.decode().strip()

    async def tell(self, **ways: Any) -> None:
        """Returns once it does as told."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(ways).encode() + b"\n")
        await self.read()

    def no_more(self) -> None:
        """Ends its standard input."""
        assert self._process.stdin
        self._process.stdin.close()


@contextlib.asynccontextmanager
async def running(name: str, argument: str) -> AsyncIterator[Program]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"tests.faults.{name}", argument, stdin=-1, stdout=-1, limit=2**24
    )
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
