"""What the scenarios stand on: one PostgreSQL, one receiver, one producer, the servers, and how a flow is measured."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from hookpost_server.embedded import EmbeddedPostgres

from . import row, table
from .designs import Hookpost, Naive, Server
from .inbox import Inbox, build
from .load import Order
from .outbox import Outbox, Sent
from .processes import cpu_seconds, forget_peak, peak_memory
from .profile import Profile
from .receipt import percentile, reckon
from .row import Row, Value

POSTGRES = {"shared_buffers": "512MB", "max_wal_size": "4GB", "max_connections": "200"}  # durable, as by default
MOST_SHOWN = 2000  # characters of what a server logged as warnings and errors
PATIENCE = 30.0  # seconds without anything new after which what has not come counts as lost


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for."""

    scale: float = 1.0  # multiplies durations and numbers
    rounds: int = 2
    settings: Mapping[str, str] = field(default_factory=dict)  # HOOKPOST_… of every Hookpost
    variants: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # further designs: settings by name
    profile: bool = False
    compiled: bool = True  # the receiver in C, if it can be compiled


@dataclass(slots=True)
class Stage:
    """Handed to every scenario."""

    options: Options
    directory: Path
    inbox: Inbox
    outbox: Outbox
    rows: list[Row] = field(default_factory=list)
    scenario: str = ""
    _postgres: EmbeddedPostgres | None = None
    _maintenance: str = ""
    _names: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _naive: Naive | None = None
    _hookposts: list[Hookpost] = field(default_factory=list)
    _background: Outbox | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, options: Options) -> AsyncIterator[Stage]:
        """Starts everything but servers; ends everything."""
        async with AsyncExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hookpost-bench-")))
            inbox = await Inbox.start(build(directory, compiled=options.compiled), f"{directory.name}-tally")
            stack.push_async_callback(inbox.stop)
            outbox = await Outbox.start(directory)
            stack.push_async_callback(outbox.stop)
            postgres = EmbeddedPostgres(directory, settings=POSTGRES)
            url = await postgres.start()
            stack.push_async_callback(postgres.stop)
            stage = cls(options, directory, inbox, outbox, _postgres=postgres, _maintenance=url)
            stack.push_async_callback(stage._stop)
            yield stage

    async def naive(self) -> Naive:
        """The yardstick, started when it is first asked for."""
        if not self._naive:
            self._naive = await Naive.start(await self.database(), self.directory)
        return self._naive

    async def hookposts(self) -> list[Hookpost]:
        """The default one, then the variants, each on its own database; started when first asked for."""
        if not self._hookposts:
            for name, settings in {"hookpost": {}, **self.options.variants}.items():
                self._hookposts.append(await self._hookpost(name, await self.database(), settings))
        return self._hookposts

    async def background(self) -> Outbox:
        """A second producer, for what goes on beside the flow that is measured."""
        if not self._background:
            self._background = await Outbox.start(self.directory, "background")
        return self._background

    async def _stop(self) -> None:
        for server in [*self._hookposts, *([self._naive] if self._naive else [])]:
            await _stop(server)
        if self._background:
            await self._background.stop()

    @contextlib.asynccontextmanager
    async def hookpost(
        self, database_url: str, *, name: str = "hookpost", through: Sequence[str] = (), **settings: str
    ) -> AsyncIterator[Hookpost]:
        """A Hookpost for one scenario; it leaves without waiting for receivers."""
        server = await self._hookpost(name, database_url, {"HOOKPOST_SHUTDOWN_GRACE": "0", **settings}, through)
        try:
            yield server
        finally:
            await _stop(server)

    async def _hookpost(
        self, name: str, database_url: str, settings: Mapping[str, str], through: Sequence[str] = ()
    ) -> Hookpost:
        settings = {**self.options.settings, **settings}
        return await Hookpost.start(name, database_url, self.directory, settings, through=through)

    async def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"bench_{next(self._names)}"
        connection = await asyncpg.connect(self._maintenance)
        try:
            await connection.execute(f"create database {name}")
        finally:
            await connection.close()
        return urlsplit(self._maintenance)._replace(path=f"/{name}").geturl()

    def tenant(self) -> str:
        """A tenant nobody used before."""
        return f"bench-{next(self._names)}"

    def seconds(self, full: float) -> float:
        """A duration by scale, at least a fifth of a second."""
        return max(0.2, full * self.options.scale)

    def number(self, full: int, *, least: int = 1) -> int:
        """A number by scale."""
        return max(least, round(full * self.options.scale))

    def add(self, case: str, design: str, **figures: Value) -> None:
        """A result that is not a flow's. Names are given as keywords, `_` standing for a space."""
        self.append(Row(self.scenario, case, design, {name.replace("_", " "): v for name, v in figures.items()}))

    def append(self, result: Row) -> None:
        self.rows.append(result)
        print(table.line(result), flush=True)

    async def flow(
        self, case: str, server: Server, order: Order, *, fan_out: int = 1, patience: float = PATIENCE
    ) -> Row:
        """Produces, waits until everything was received, and returns the row."""
        flow = Flow(self, server)
        with Profile(server.process.pid, f"{case}, {server.name}", self.options.profile):
            sent = await self.outbox.produce(server.address, order)
            await self.inbox.wait_for(flow.mark, sent.numbers, len(sent.times) * fan_out, patience)
        return Row(self.scenario, case, server.name, flow.figures(sent, fan_out))

    async def measure(self, case: str, server: Server, order: Order, *, fan_out: int = 1) -> None:
        """Adds the row of a flow."""
        self.append(await self.flow(case, server, order, fan_out=fan_out))

    @property
    def postgres_pid(self) -> int:
        return self._postgres.pid if self._postgres and self._postgres.pid else 0

    def pids(self, server: Server) -> tuple[int, int, int]:
        """Server, PostgreSQL, receiver."""
        return server.process.pid, self.postgres_pid, self.inbox.process.pid


class Flow:
    """The state at a flow's beginning, and the figures at its end."""

    def __init__(self, stage: Stage, server: Server) -> None:
        self._pids = stage.pids(server)
        self._tally = stage.inbox.tally
        self.mark = self._tally.count
        forget_peak(self._pids[0])
        self._cpu = [cpu_seconds(pid) for pid in self._pids]

    def figures(self, sent: Sent, fan_out: int) -> dict[str, Value]:
        """See row.py for the names."""
        cpu = [cpu_seconds(pid) - before for pid, before in zip(self._pids, self._cpu, strict=True)]
        receipt = reckon(self._tally.since(self.mark), sent, fan_out)
        figures: dict[str, Value] = {
            "events": len(sent.times),
            row.EMITTED: len(sent.times) / sent.seconds,
            row.RECEIVED: receipt.received / receipt.seconds if receipt.received else 0.0,
            row.ANSWER[0]: sent.answer_p50,
            row.ANSWER[1]: sent.answer_p99,
            row.RECEIPT[0]: percentile(receipt.latencies, 0.5),
            row.RECEIPT[1]: percentile(receipt.latencies, 0.99),
            row.LOST: receipt.lost,
            row.DOUBLED: receipt.doubled,
        }
        for name, seconds in zip(row.CPU, (*cpu, sent.cpu), strict=True):
            figures[name] = seconds / max(1, receipt.received) * 1e6
        figures[row.MEMORY] = peak_memory(self._pids[0]) / 1e6
        if sent.refused:
            figures["refused calls"] = sent.refused
        return figures


async def _stop(server: Server) -> None:
    await server.stop()
    if said := server.process.complaints():
        print(f"{server.name} complained:\n{said[:MOST_SHOWN]}")
