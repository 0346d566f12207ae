"""The real thing: the stores on a database, and what is looked up beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from hookpost_server.store.database import Database
from hookpost_server.store.deliveries import Deliveries
from hookpost_server.store.events import Events
from hookpost_server.store.health import HealthFigures
from hookpost_server.store.partitions import Partitions
from hookpost_server.store.replays import Replays
from hookpost_server.store.suspensions import Suspensions
from hookpost_server.store.webhooks import Webhooks
from tests.keys import RING

from .expected import LEASE


@dataclass
class Stage:
    """Stores and a connection beside their pool, on an event loop of their own; a new tenant for each example."""

    runner: asyncio.Runner
    database: Database
    sql: asyncpg.Connection
    tenants: int = 0

    @classmethod
    async def open(cls, runner: asyncio.Runner, url: str) -> Stage:
        database = await Database.open(url, max_size=2)
        await Partitions(database).make()
        sql = await asyncpg.connect(url)
        await sql.execute("set enable_seqscan = off; set timezone = 'UTC'")  # tables grow, statistics lag
        return cls(runner, database, sql)

    def __post_init__(self) -> None:
        self.webhooks = Webhooks(self.database, RING, open_types=True)
        self.events = Events(self.database, lease=LEASE)
        self.deliveries = Deliveries(self.database, lease=LEASE)
        self.suspensions = Suspensions(self.database, Events(self.database, lease=LEASE))
        self.replays = Replays(self.database)
        self.figures = HealthFigures(self.database)

    async def close(self) -> None:
        await self.sql.close()
        await self.database.close()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(coroutine)

    def tenant(self) -> str:
        """A new one, behind those before it: a claim that begins with it does not see theirs."""
        self.tenants += 1
        return f"t{self.tenants:09}"

    async def pass_time(self, tenant_id: str, seconds: float) -> None:
        """Retries and leases come nearer, keys age."""
        for statement in (
            "update deliveries set due_at = due_at - make_interval(secs => $2) where tenant_id = $1 and state = 1",
            "update signing_keys set expire_time = expire_time - make_interval(secs => $2) where tenant_id = $1",
        ):
            await self.sql.execute(statement, tenant_id, seconds)

    async def enable(self, tenant_id: str, webhook_id: UUID) -> None:
        """Enables, and passes over the moment through which what has waited is spread."""
        await self.webhooks.enable(tenant_id, webhook_id)
        await self.sql.execute(
            """
            update deliveries set due_at = now() where tenant_id = $1 and webhook_id = $2 and state = 1
              and due_at > now() and due_at < now() + interval '1 s'
            """,
            tenant_id,
            webhook_id,
        )

    async def rows(self, tenant_id: str) -> dict[UUID, asyncpg.Record]:
        """Deliveries; `wait` is in seconds."""
        rows = await self.sql.fetch(
            """
            select *, extract(epoch from due_at - now())::float8 as wait from deliveries
            where tenant_id = $1 order by id
            """,
            tenant_id,
        )
        return {row["id"]: row for row in rows}

    async def attempts(self, tenant_id: str, delivery_ids: list[UUID]) -> dict[UUID, list[asyncpg.Record]]:
        """By delivery, in order."""
        found: dict[UUID, list[asyncpg.Record]] = {}
        for row in await self.sql.fetch(
            "select * from attempts where delivery_id = any($2) and tenant_id = $1 order by delivery_id, number",
            tenant_id,
            delivery_ids,
        ):
            found.setdefault(row["delivery_id"], []).append(row)
        return found

    async def events_of(self, tenant_id: str) -> set[UUID]:
        """Those that were emitted; a suspension adds one of its own."""
        rows = await self.sql.fetch(
            "select id from events where tenant_id = $1 and not starts_with(type, 'hookpost.')", tenant_id
        )
        return {row["id"] for row in rows}

    async def subscriptions(self, tenant_id: str) -> set[tuple[UUID, str]]:
        rows = await self.sql.fetch("select webhook_id, pattern from subscriptions where tenant_id = $1", tenant_id)
        return {(row["webhook_id"], row["pattern"]) for row in rows}

    async def streaks(self, tenant_id: str) -> dict[UUID, int]:
        rows = await self.sql.fetch("select webhook_id, failures from webhook_streaks where tenant_id = $1", tenant_id)
        return {row["webhook_id"]: row["failures"] for row in rows}

    async def counters(self, tenant_id: str, unit: str) -> dict[UUID, list[int]]:
        """Of all buckets together: succeeded, failed, attempts; and attempts by their latencies."""
        rows = await self.sql.fetch(
            f"""
            select webhook_id, sum(succeeded)::bigint, sum(failed)::bigint, sum(attempts)::bigint,
                sum((select sum(n) from unnest(latencies) n))::bigint
            from health_{unit}s where tenant_id = $1 group by webhook_id
            """,
            tenant_id,
        )
        return {webhook_id: counts for webhook_id, *counts in rows}
