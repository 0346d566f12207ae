"""Rows that were not emitted: a database with a past, or a full queue, made by PostgreSQL itself."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from hookpost_server.domain import ids
from hookpost_server.domain.delivery import Result, State
from hookpost_server.domain.health import BOUNDS

DAYS = range(2, 7)  # days ago that have a past
DAY = 86_400_000  # milliseconds
TABLES = ("events", "deliveries", "attempts")
# UUIDv7 of the millisecond $1 + (number * $2 / $3): time, version and variant, the number itself as the rest.
_ID = """(lpad(to_hex($1::bigint + (n * $2::bigint / $3)), 12, '0') || '7'
          || lpad(to_hex(n & 4095), 3, '0') || '8' || lpad(to_hex(n), 15, '0'))::uuid"""
_DELIVERY = "(left(event::text, 24) || left(md5(event::text || webhook::text), 12))::uuid"
_ROWS = f"""(select n, {_ID} as event, ($4::uuid[])[1 + n % cardinality($4::uuid[])] as webhook
             from generate_series(0, $3::bigint - 1) n) made"""
_EVENT = "(tenant_id, id, type, payload, occur_time) select $5, event, 'Bench.H0000', $6::bytea, now()"
_END = """(tenant_id, id, event_id, webhook_id, type, due_at, finish_time, claim_count, state, attempt_count,
           last_result, last_status)"""
_ATTEMPT = """(tenant_id, delivery_id, start_time, latency, number, trigger, result, status, truncated, url, error,
               response_headers, response_body)"""
EVENTS = f"insert into {{events}} {_EVENT} from {_ROWS}"
DELIVERED = f"""
    insert into {{deliveries}} {_END}
    select $5, {_DELIVERY}, event, webhook, 'Bench.H0000', now(), now(), 2, 2, 1, 1, 200 from {_ROWS}"""
ATTEMPTS = f"""
    insert into {{attempts}} {_ATTEMPT}
    select $5, {_DELIVERY}, now(), 1500, 1, 1, 1, 200, false, 'http://127.0.0.1/', '', '[]', 'ok' from {_ROWS}"""
QUEUED = f"""
    insert into deliveries (tenant_id, id, event_id, webhook_id, type, due_at)
    select $5, {_DELIVERY}, event, webhook, 'Bench.H0000', now() from {_ROWS}"""
# Each event of a log is for FAN_OUT webhooks. Of 50 deliveries of each webhook one failed by its answer and one without
# any; these alone have their attempt.
FAN_OUT = 10
_FANNED = f"""(select *, (m + m / 100) % 50 = 7 as refused, (m + m / 100) % 50 = 8 as silent
               from (select n * {FAN_OUT} + k as m, {_ID} as event,
                         ($4::uuid[])[1 + (n * {FAN_OUT} + k) % cardinality($4::uuid[])] as webhook
                     from generate_series(0, $3::bigint - 1) n, generate_series(0, {FAN_OUT - 1}) k) each) made"""
_RESULT = f"case when refused then {Result.BAD_STATUS:d} when silent then {Result.TIMED_OUT:d} else 1 end"
_STATUS = "case when refused then 503 when silent then null else 200 end"
LOGGED = f"""
    insert into {{deliveries}} {_END}
    select $5, {_DELIVERY}, event, webhook, 'Bench.H0000', now(), now(), 2,
        case when refused or silent then {State.FAILED:d} else {State.SUCCEEDED:d} end, 1, {_RESULT}, {_STATUS}
    from {_FANNED}"""
LOGGED_ATTEMPTS = f"""
    insert into {{attempts}} {_ATTEMPT}
    select $5, {_DELIVERY}, now(), 1500, 1, 1, {_RESULT}, {_STATUS}, false, 'http://127.0.0.1/', '', '[]', ''
    from {_FANNED} where refused or silent"""
PAYLOAD = b'{"n":"0","userAgent":"Mozilla/5.0","data":{"id":"u758"}}'


async def make_history(url: str, rows: int, tenant: str, webhooks: list[UUID]) -> int:
    """Events with a delivery and an attempt each, `rows` in all, in partitions of past days; returns how many."""
    connection = await asyncpg.connect(url)
    events = max(1, rows // len(DAYS) // len(TABLES))
    try:
        for ago in DAYS:
            async with _day(connection, ago) as (began, names):
                given = (began, DAY, events, webhooks, tenant)
                await connection.execute(EVENTS.format(**names), *given, PAYLOAD)
                await connection.execute(DELIVERED.format(**names), *given)
                await connection.execute(ATTEMPTS.format(**names), *given)
    finally:
        await connection.close()
    return events * len(DAYS) * len(TABLES)


async def make_log(url: str, deliveries: int, tenant: str, webhooks: list[UUID]) -> int:
    """Deliveries as pages show them, two days at a time; at least FAN_OUT webhooks. Returns how many it made."""
    events = max(1, deliveries // len(DAYS) // FAN_OUT)
    room = asyncio.Semaphore(2)

    async def one(ago: int) -> None:
        async with room:
            connection = await asyncpg.connect(url)
            try:
                await connection.execute("set synchronous_commit = off; set maintenance_work_mem = '256MB'")
                async with _day(connection, ago) as (began, names):
                    given = (began, DAY, events, webhooks, tenant)
                    await connection.execute(EVENTS.format(**names), *given, PAYLOAD)
                    await connection.execute(LOGGED.format(**names), *given)
                    await connection.execute(LOGGED_ATTEMPTS.format(**names), *given)
            finally:
                await connection.close()

    async with asyncio.TaskGroup() as group:
        for ago in DAYS:
            group.create_task(one(ago))
    return events * FAN_OUT * len(DAYS)


@contextlib.asynccontextmanager
async def _day(connection: asyncpg.Connection, ago: int) -> AsyncIterator[tuple[int, dict[str, str]]]:
    """A past day's tables, to be filled: when it began in unix milliseconds, and each one's name by its parent's."""
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=ago)
    names = {table: f"{table}_{day:%Y%m%d}" for table in TABLES}
    # Indexes are made at the end, by attaching: that takes half the time.
    for table, name in names.items():
        await connection.execute(f"create table {name} (like {table} including defaults including constraints)")
    yield int(day.timestamp() * 1000), names
    low, high = (ids.first_of(day.timestamp() + offset) for offset in (0, 86400))
    for table, name in names.items():
        await connection.execute(f"alter table {table} attach partition {name} for values from ('{low}') to ('{high}')")
        await connection.execute(f"analyze {name}")


async def make_queue(url: str, deliveries: int, tenant: str, webhooks: list[UUID]) -> None:
    """Deliveries that are due now, of events of the last minutes."""
    connection = await asyncpg.connect(url)
    try:
        given = (int(time.time() * 1000) - 60_000, 60_000, deliveries, webhooks, tenant)
        await connection.execute(EVENTS.format(events="events"), *given, PAYLOAD)
        await connection.execute(QUEUED, *given)
        await connection.execute("vacuum analyze")
    finally:
        await connection.close()


async def make_counters(url: str, tenant: str, webhooks: list[UUID], *, others: int) -> None:
    """Health counters of every minute and hour of the last day, for these webhooks and `others` besides."""
    connection = await asyncpg.connect(url)
    buckets = [1] * (len(BOUNDS) + 1)
    try:
        for table, unit, count in (("health_minutes", "minute", 1440), ("health_hours", "hour", 25)):
            await connection.execute(
                f"""insert into {table} (tenant_id, webhook_id, {unit}, succeeded, failed, attempts, latency_sum,
                        latencies)
                    select $1, webhook, date_trunc('{unit}', now()) - n * interval '1 {unit}', 9, 1, 10, 15000, $4
                    from generate_series(0, $5 - 1) n,
                        (select unnest($2::uuid[]) as webhook
                         union all select gen_random_uuid() from generate_series(1, $3)) w""",
                tenant, webhooks, others, buckets, count,
            )  # fmt: skip
        await connection.execute("vacuum analyze")
    finally:
        await connection.close()
