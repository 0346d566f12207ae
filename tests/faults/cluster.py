"""Server processes on one database."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hookpost_server.config import Address
from tests.keys import MASTER_KEY
from tests.rpc.serving import eventually

ANY_PORT = Address("127.0.0.1", 0)
START = 90.0  # seconds until a server must be there; a busy machine takes half of them
SERVE = [sys.executable, "-m", "hookpost_server.cli.main", "serve"]


@dataclass
class Node:
    """A server process."""

    process: asyncio.subprocess.Process
    address: Address
    log: Path

    @property
    def ended(self) -> bool:
        return self.process.returncode is not None

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()

    async def stop(self, seconds: float = 30) -> int:
        """Ends it in order; its exit code."""
        self.signal(signal.SIGTERM)
        return await self.end(seconds)

    async def end(self, seconds: float = 30) -> int:
        """Waits until it has ended by itself; its exit code, negative for a signal."""
        async with asyncio.timeout(seconds):
            return await self.process.wait()

    @property
    def attempts(self) -> int:
        return self.log.read_text().count('"delivery.attempted"')

    async def logged(self, text: str) -> None:
        async def found() -> bool | None:
            return True if text in self.log.read_text() else None

        await eventually(found)


class Cluster:
    """Starts server processes on one database; at the end none is left."""

    def __init__(self, database_url: str, directory: Path) -> None:
        self.url = database_url
        self._directory = directory
        self._nodes: list[Node] = []
        self._numbers = itertools.count()

    async def spawn(self, address: Address = ANY_PORT, *, by: Sequence[str] = (), **settings: str) -> Node:
        """A process that may not be ready yet, or never will be. `by`: a command that executes the server."""
        log = self._directory / f"node-{next(self._numbers)}.log"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("HOOKPOST_")}
        environ = clean | {
            "HOOKPOST_DATABASE_URL": self.url,
            "HOOKPOST_MASTER_KEY": MASTER_KEY,
            "HOOKPOST_METRICS_ADDRESS": "off",  # several servers run at once
            "HOOKPOST_CONSOLE_ADDRESS": "off",
            "HOOKPOST_GRPC_ADDRESS": str(address),
            "HOOKPOST_ALLOW_HTTP": "true",
            "HOOKPOST_ALLOW_NETWORKS": "127.0.0.0/8",
            "HOOKPOST_POLL_INTERVAL": "0.05",
            "HOOKPOST_LOG_FORMAT": "json",
            **{f"HOOKPOST_{name.upper()}": value for name, value in settings.items()},
        }
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(*by, *SERVE, env=environ, stdout=file, stderr=file)
        node = Node(process, address, log)
        self._nodes.append(node)
        return node

    async def start(self, address: Address = ANY_PORT, *, by: Sequence[str] = (), **settings: str) -> Node:
        node = await self.spawn(address, by=by, **settings)

        async def ready() -> Address | None:
            if said := re.search(r"serves gRPC on (\S+),", node.log.read_text()):
                return Address.parse(said[1])
            assert not node.ended, node.log.read_text()
            return None

        node.address = await eventually(ready, START)
        return node

    async def close(self) -> None:
        for node in self._nodes:
            if not node.ended:
                await node.kill()
