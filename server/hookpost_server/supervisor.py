"""Several server processes on one port and one database: `hookpost serve --processes N`.

Python runs on one core in each process. The supervisor prepares the database once, keeps the port, starts the others
and starts anew what ends. Each of them is a whole node; the system spreads connections over them, and PostgreSQL the
deliveries that one of them could not take over.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from . import listening, master_keys, startup
from .app import Running
from .config import Address, Config
from .startup import StartError

START_TIMEOUT = 60.0  # seconds until a process must be ready
STOP_MARGIN = 20.0  # seconds beyond the grace after which a process that does not end is killed
RESTART_DELAY = 1.0  # seconds between two starts of the same process

log = structlog.get_logger()


async def serve(config: Config, *, ready: Callable[[Running], None], stop: asyncio.Event) -> None:
    """Like `app.serve`, by `config.processes` processes. Raises StartError."""
    listening.check_exposure(config)
    listening.check_ports(config)
    listening.raise_file_limit()
    with _reserved(config.grpc_address) as port:
        address = replace(config.grpc_address, port=port.getsockname()[1])
        async with startup.database_url(config) as (url, shown):
            ring = master_keys.key_ring(config)
            async with startup.unlocked(url, ring) as database:
                await listening.check_keys(config, database)
            config = master_keys.handed_on(config, ring)
            nodes = [_Node(number, address, url, config) for number in range(config.processes)]
            try:
                await asyncio.gather(*(node.start() for node in nodes))
                log.info("supervisor.started", grpc=str(address), processes=len(nodes))
                ready(Running(address, config.metrics_address, config.console_address, shown))
                await _watch(nodes, stop)
            finally:
                await asyncio.gather(*(node.stop() for node in nodes))
    log.info("supervisor.stopped")


def own_ports(config: Config) -> list[int]:
    """What no process may call: beside what the settings say, the port of every process's figures."""
    metrics = config.metrics_address
    figures = range(metrics.port, metrics.port + config.processes) if metrics and metrics.port else ()
    return [*config.own_ports, *figures]


def _reserved(address: Address) -> socket.socket:
    """A socket that keeps the port for this user's processes, and never listens itself."""
    reserved = socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    reserved.bind((address.host, address.port))
    return reserved


async def _watch(nodes: list[_Node], stop: asyncio.Event) -> None:
    """Until `stop`: starts anew each process that ends."""
    async with asyncio.TaskGroup() as group:
        keepers = [group.create_task(node.keep(), name=f"process {node.number}") for node in nodes]
        await stop.wait()
        for keeper in keepers:
            keeper.cancel()


@dataclass(slots=True)
class _Node:
    """One server process."""

    number: int
    address: Address
    database_url: str
    config: Config
    process: asyncio.subprocess.Process | None = None
    lifeline: int = -1  # the end of a pipe that closes with this process; the other one then stops

    async def start(self) -> None:
        """Returns once it answers. Raises StartError."""
        self.process = None
        with contextlib.ExitStack() as ours:
            try:
                ready = await self._begin(ours)
            except OSError as error:
                raise StartError(
                    f"server process {self.number} can't be started: {error.strerror or error}",
                    "this machine may be short of memory, processes or open files",
                ) from error
            if not await _first_byte(ready):
                raise StartError(f"server process {self.number} did not start", "its own lines above say why")

    async def _begin(self, ours: contextlib.ExitStack) -> int:
        """Starts it; returns the pipe by which it says that it answers, which `ours` closes."""
        self._let_go()
        with contextlib.ExitStack() as theirs:
            lives, self.lifeline = os.pipe()
            theirs.callback(os.close, lives)
            ready, says_ready = os.pipe()
            theirs.callback(os.close, says_ready)
            ours.callback(os.close, ready)
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "hookpost_server.cli.node",
                str(says_ready),
                str(lives),
                env=self._environment(),
                pass_fds=(says_ready, lives),
                start_new_session=True,  # Ctrl-C is for the supervisor, which stops them in order
            )
        return ready

    def _let_go(self) -> None:
        """Closes the lifeline, if there is one."""
        if self.lifeline >= 0:
            os.close(self.lifeline)
            self.lifeline = -1

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            **self.config.environment(),
            "HOOKPOST_DATABASE_URL": self.database_url,
            "HOOKPOST_GRPC_ADDRESS": str(self.address),
            "HOOKPOST_PROCESSES": "1",
            "HOOKPOST_SHARE_PORT": "true",
            "HOOKPOST_METRICS_ADDRESS": self._metrics_address(),
            "HOOKPOST_OWN_PORTS": ",".join(map(str, own_ports(self.config))),
            # One of them is enough for people.
            **({"HOOKPOST_CONSOLE_ADDRESS": "off"} if self.number else {}),
        }

    def _metrics_address(self) -> str:
        """Each process has its own figures: the first at the port that is set, the next at the one after it."""
        address = self.config.metrics_address
        if address is None or not address.port:
            return str(address or "off")
        return str(replace(address, port=address.port + self.number))

    async def keep(self) -> None:
        """Starts it anew whenever it ends, until cancelled."""
        while True:
            if self.process is not None:
                code = await self.process.wait()
                log.error("process.ended", number=self.number, code=code)
            began = time.monotonic()
            try:
                await self.start()
                log.info("process.restarted", number=self.number)
            except StartError as error:
                log.error("process.not_restarted", number=self.number, error=str(error))
            await asyncio.sleep(max(0.0, RESTART_DELAY - (time.monotonic() - began)))

    async def stop(self) -> None:
        """Asks it to end in order, and ends it when it takes too long."""
        if self.process is not None:
            if self.process.returncode is None:
                self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), self.config.shutdown_grace + STOP_MARGIN)
            except TimeoutError:
                log.error("process.killed", number=self.number)
                self.process.kill()
                await self.process.wait()
        self._let_go()


async def _first_byte(descriptor: int) -> bool:
    """Whether something was written before the other end was closed, or START_TIMEOUT was over."""
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[bool] = loop.create_future()

    def read() -> None:
        loop.remove_reader(descriptor)
        if not arrived.done():
            arrived.set_result(bool(os.read(descriptor, 1)))

    loop.add_reader(descriptor, read)
    try:
        return await asyncio.wait_for(arrived, START_TIMEOUT)
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(descriptor)
