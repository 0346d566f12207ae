"""What waits for a webhook while it is stopped comes due little by little once it is enabled."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from .database import Database

LONGEST = 60.0  # seconds over which the waiting deliveries are spread
RATE = 100.0  # a second, for a webhook without a rate limit
STEP, MOST = 5_000, 50_000  # deliveries put off by one statement, and in all; what is beyond stays due at once

WAITING = """
    select w.rate_limit, now() as moment, (select count(*) from (
        select from deliveries where tenant_id = $1 and webhook_id = $2 and state = 1 and due_at <= now() limit $3) d)
    from webhooks w where w.id = $2 and w.tenant_id = $1 and w.state <> 1
"""
# What is put off by the first step may be due again by the next; only what was due at the beginning is looked at. Skips
# what is locked, so that it can't deadlock with those who come by id.
SPREAD = """
    update deliveries d set due_at = now() + ($4 + due.number - 1) * $5::interval, claimed = false
    from (
        select id, tenant_id, row_number() over (order by due_at) as number from (
            select id, tenant_id, due_at from deliveries
            where tenant_id = $1 and webhook_id = $2 and state = 1 and due_at <= $6
            order by due_at limit $3 for update skip locked) oldest) due
    where d.id = due.id and d.tenant_id = due.tenant_id
"""


async def spread(database: Database, tenant_id: str, webhook_id: UUID) -> int:
    """Puts off what is due at a stopped webhook, evenly and in its order; returns how many."""
    async with database.by_key() as connection:
        found = await connection.fetchrow(WAITING, tenant_id, webhook_id, MOST)
    if found is None or not found["count"]:
        return 0
    seconds = min(LONGEST, found["count"] / (found["rate_limit"] or RATE))
    interval = timedelta(seconds=seconds / found["count"])
    done = 0
    while done < found["count"]:
        async with database.by_key() as connection:
            given = (tenant_id, webhook_id, STEP, done, interval, found["moment"])
            step = int((await connection.execute(SPREAD, *given)).split()[-1])
        done += step
        if step < STEP:
            break
    return done
