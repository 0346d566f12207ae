"""What an experiment is played on: a database behind a proxy, a receiver, a producer, and servers that may die."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from hookpost.v1 import webhook_pb2
from hookpost_server.config import Address
from hookpost_server.domain import ids
from tests.rpc.serving import Client, connected, eventually

from . import checker
from .checker import Ack, Notes, Post, Verdict
from .cluster import ANY_PORT, Cluster, Node
from .postgres import Postgres
from .producer import Orders, Summary
from .program import Program, running
from .proxy import Proxy

# Patient enough for any fault of some seconds: a delivery that fails here was given up for no reason.
RETRIES = webhook_pb2.RetryPolicy(delays=[{"nanos": 200_000_000}] * 19, jitter=0.2)
TENANT = "faults"
SEED = 20261121
QUIET = 60.0  # seconds until all deliveries must have ended

Seen = Callable[[int, float], Awaitable[float]]


@dataclass
class Finding:
    """What came out of an experiment."""

    verdict: Verdict = field(default_factory=Verdict)
    runs: int = 0
    recoveries: list[float] = field(default_factory=list)  # seconds, one for each run that had something to recover
    quiet: float = 0.0  # seconds from the end of the load until the last delivery had ended
    refusals: Counter[str] = field(default_factory=Counter)  # of the producer's calls, by code; all were repeated
    slowest_call: float = 0.0  # seconds until the producer had an answer, whichever
    notes: dict[str, Any] = field(default_factory=dict)  # figures of the experiment's own
    faults: list[str] = field(default_factory=list)  # what must not be, beside the verdict's

    @property
    def broken(self) -> list[str]:
        return self.verdict.faults + self.faults


class Stage:
    """Made by `staged`. An experiment starts servers and a producer, lets something fail, and says when it is over."""

    def __init__(self, url: str, directory: Path, proxy: Proxy, receiver: Program, programs: AsyncExitStack) -> None:
        self.postgres: Postgres | None = None  # of the experiment's own
        self.url = url  # the database's, past the proxy
        self.database = proxy
        self.receiver = receiver
        self.receiver_url = ""
        self.directory = directory
        self.direct = Cluster(url, directory)
        self.cluster = Cluster(proxy.url, directory / "proxied")
        (directory / "proxied").mkdir()
        self.finding = Finding()
        self.acks = Notes(directory / "acks", Ack)
        self.posts = Notes(directory / "posts", Post)
        self.chance = random.Random(SEED)
        self.may_repeat: MutableMapping[str, int] = Counter()
        self.webhooks: list[str] = []
        self._programs = programs
        self._producers: list[Program] = []
        self._settled = False

    # Servers

    async def start(self, address: Address = ANY_PORT, **settings: str) -> Node:
        """A server on the database, not by the proxy: what fails there is not its matter."""
        return await self.direct.start(address, **settings)

    async def subscribe(self, node: Node, count: int = 2, *, url: str = "", **settings: Any) -> None:
        """Webhooks that each get every event."""
        async with self.client(node) as client:
            for _ in range(count):
                given = {"retry_policy": RETRIES} | settings
                path = f"/{len(self.webhooks)}"
                self.webhooks.append((await client.create((url or self.receiver_url) + path, **given)).id)

    @contextlib.asynccontextmanager
    async def client(self, node: Node) -> AsyncIterator[Client]:
        async with connected(node.address) as client:
            client.tenant = TENANT
            yield client

    # Load

    async def produce(self, *nodes: Node, **orders: Any) -> None:
        """Begins to emit, in a process of its own."""
        given = {
            "addresses": [str(node.address) for node in nodes],
            "tenant": TENANT,
            "acks": str(self.acks.path),
            "name": f"p{len(self._producers)}",
        } | orders
        producer = running("producer", json.dumps(asdict(Orders(**given))))
        self._producers.append(await self._programs.enter_async_context(producer))

    async def acknowledged(self, more: int = 1, since: float | None = None) -> float:
        """Until so many more events are acknowledged (after `since`); when the last of them was, in unix seconds."""
        return await _more(self.acks, more, since)

    async def posted(self, more: int = 1, since: float | None = None) -> float:
        """The same of POSTs."""
        return await _more(self.posts, more, since)

    async def recovered(self, since: float, seen: Seen | None = None) -> None:
        """Waits for the first POST after `since`, unix seconds (or what `seen` waits for); notes how long that took."""
        self.finding.recoveries.append(await (seen or self.posted)(1, since) - since)
        self.finding.runs += 1

    # The database

    @contextlib.asynccontextmanager
    async def sql(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(self.url, timeout=10)
        try:
            yield connection
        finally:
            await connection.close(timeout=5)

    async def claimed(self) -> set[str]:
        """Deliveries that somebody took over and did not end."""
        return await self._deliveries("state = 1 and claim_count > 0")

    async def due(self) -> set[str]:
        return await self._deliveries("state = 1 and due_at <= now()")

    async def _deliveries(self, condition: str) -> set[str]:
        async with self.sql() as connection:
            rows = await connection.fetch(f"select id from deliveries where {condition}")
        return {ids.text(ids.DELIVERY, row["id"]) for row in rows}

    async def bury(self, *, let_leases_end: bool = True) -> None:
        """After the last server died: what it had claimed may come twice, and its leases end as if time had passed."""
        async with self.sql() as connection:
            await connection.execute(  # a session that outlived its client ends first; it may still commit
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
                "where datname = current_database() and application_name = 'hookpost'"
            )
            if let_leases_end:
                rows = await connection.fetch("select id from deliveries where state = 1 and claim_count > 0")
                self.excuse({ids.text(ids.DELIVERY, row["id"]) for row in rows})
                await connection.execute("update deliveries set due_at = now() where state = 1")

    def excuse(self, deliveries: set[str]) -> None:
        """Each of these may have been POSTed once more than the log knows."""
        for delivery in deliveries:
            self.may_repeat[delivery] += 1

    # The end

    async def settle(self) -> Finding:
        """Ends the load, waits until all is quiet, and compares. Needs a living server. Once is enough."""
        finding = self.finding
        if self._settled:
            return finding
        self._settled = True
        for producer in self._producers:
            producer.no_more()
            summary = Summary(**json.loads(await producer.read()))
            finding.refusals.update(summary.refusals)
            finding.slowest_call = max(finding.slowest_call, summary.slowest)
            finding.faults += [f"{key} was never acknowledged" for key in summary.given_up[: checker.SHOWN]]
            finding.faults += [f"{count} calls ended with {code}" for code, count in summary.errors.items()]
        ended = time.time()
        await self._quiet()
        finding.quiet = time.time() - ended
        async with self.sql() as connection:
            dump = await checker.dump(connection)
        finding.verdict = checker.check(
            self.acks.all(),
            self.posts.all(),
            dump,
            webhooks=len(self.webhooks),
            may_repeat=self.may_repeat,
        )
        if not finding.verdict.acknowledged:
            finding.faults.append("nothing was acknowledged: nothing was shown")
        return finding

    async def _quiet(self) -> None:
        """Until no delivery is pending, or for QUIET seconds: the checker names what is left."""
        give_up = time.monotonic() + QUIET
        async with self.sql() as connection:
            while await connection.fetchval("select exists (select from deliveries where state = 1)"):
                if time.monotonic() > give_up:
                    return
                await asyncio.sleep(0.05)


async def _more(notes: Notes[Any], more: int, since: float | None) -> float:
    before = len(notes.all())

    async def there() -> float | None:
        fresh = notes.all()[before:] if since is None else [note for note in notes.all() if note.time > since]
        return fresh[more - 1].time if len(fresh) >= more else None

    return await eventually(there, QUIET)


@contextlib.asynccontextmanager
async def staged(url: str, directory: Path) -> AsyncIterator[Stage]:
    """A stage on the empty database at `url`. Afterwards nothing of it runs."""
    proxy = Proxy(url)
    await proxy.open()
    async with AsyncExitStack() as programs:
        programs.push_async_callback(proxy.close)
        receiver = await programs.enter_async_context(running("receiver", str(directory / "posts")))
        stage = Stage(url, directory, proxy, receiver, programs)
        stage.receiver_url = f"http://127.0.0.1:{await receiver.read()}"
        programs.push_async_callback(stage.cluster.close)
        programs.push_async_callback(stage.direct.close)
        yield stage
