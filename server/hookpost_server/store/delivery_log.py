"""The log: deliveries with their attempts, one by one and in pages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from ..domain import errors, ids
from ..domain.delivery import Attempt, Delivery, Result, State, Trigger
from .database import Database


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list shows; all conditions hold. The id range stands for the time range."""

    since: UUID
    before: UUID
    webhook_id: UUID | None = None
    event_id: UUID | None = None
    event_type: str = ""
    states: Sequence[State] = ()
    status_classes: Sequence[int] = ()
    results: Sequence[Result] = ()

    def matches(self, delivery: Delivery) -> bool:
        """Whether all conditions but the range hold of a delivery."""
        return (
            self.webhook_id in (None, delivery.webhook_id)
            and self.event_id in (None, delivery.event_id)
            and self.event_type in ("", delivery.event_type)
            and (not self.states or delivery.state in self.states)
            and (not self.status_classes or (delivery.last_status or 0) // 100 in self.status_classes)
            and (not self.results or delivery.last_result in self.results)
        )


class DeliveryLog:
    """Reads log entries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    GET = "select * from deliveries where id = $1 and tenant_id = $2"
    ATTEMPTS = "select * from attempts where delivery_id = $1 and tenant_id = $2 order by number"

    async def get(self, tenant_id: str, delivery_id: UUID) -> Delivery:
        """With its attempts. Raises NotFound."""
        async with self._database.by_key() as connection:
            row = await connection.fetchrow(self.GET, delivery_id, tenant_id)
            if row is None:
                raise errors.NotFound("delivery", ids.text(ids.DELIVERY, delivery_id))
            attempts = await connection.fetch(self.ATTEMPTS, delivery_id, tenant_id)
        return delivery_from_row(row, [attempt_from_row(attempt) for attempt in attempts])

    FIRST_ATTEMPTS = """
        select * from attempts where delivery_id = any($1::uuid[]) and number = 1 and tenant_id = $2
    """

    async def first_attempts(self, tenant_id: str, delivery_ids: Sequence[UUID]) -> dict[UUID, Attempt]:
        """The first attempt of each delivery that has had one."""
        async with self._database.by_key() as connection:
            rows = await connection.fetch(self.FIRST_ATTEMPTS, delivery_ids, tenant_id)
        return {row["delivery_id"]: attempt_from_row(row) for row in rows}

    _MATCHES = """
        ($4 = '' or d.type = $4)
        and ($5::smallint[] = '{}' or d.state = any($5::smallint[]))
        and ($6::smallint[] = '{}' or d.last_status / 100 = any($6::smallint[]))
        and ($7::smallint[] = '{}' or d.last_result = any($7::smallint[]))
        order by d.id desc limit $8
    """
    OF_EVENT = f"""
        select * from deliveries d
        where d.tenant_id = $1 and d.id >= $2 and d.id < $3 and d.event_id = $9
          and ($10::uuid is null or d.webhook_id = $10) and {_MATCHES}
    """  # noqa: S608
    OF_WEBHOOK = f"""
        select * from (
            select * from deliveries where tenant_id = $1 and webhook_id = $9 and id >= $2 and id < $3
            order by id desc limit $10) d
        where {_MATCHES}
    """  # noqa: S608
    FAILED_OF_WEBHOOK = f"""
        select * from (
            select * from deliveries where tenant_id = $1 and webhook_id = $9 and id >= $2 and id < $3 and state = 3
            order by id desc limit $10) d
        where {_MATCHES}
    """  # noqa: S608
    # By way of the events, which have an index by tenant: a delivery's id begins like its event's.
    OF_TENANT = f"""
        select d.* from (
            select id from events where tenant_id = $1 and id >= $2 and id <= $10 order by id desc limit $9) e
        cross join lateral (
            select * from deliveries where tenant_id = $1 and event_id = e.id and id < $3
              and id >= (left(e.id::text, 24) || '000000000000')::uuid
              and id <= (left(e.id::text, 24) || 'ffffffffffff')::uuid
            order by id desc) d
        where {_MATCHES}
    """  # noqa: S608
    # Where these scans ended; each must pass over the very rows that its list does.
    SCANNED_OF_WEBHOOK = """
        select id from deliveries where tenant_id = $1 and webhook_id = $4 and id >= $2 and id < $3
        order by id desc offset $5 limit 1
    """
    SCANNED_FAILED_OF_WEBHOOK = """
        select id from deliveries where tenant_id = $1 and webhook_id = $4 and id >= $2 and id < $3 and state = 3
        order by id desc offset $5 limit 1
    """
    SCANNED_OF_TENANT = """
        select id from events where tenant_id = $1 and id >= $2 and id <= $3 order by id desc offset $4 limit 1
    """

    async def list(
        self, tenant_id: str, filter: Filter, *, limit: int, scan: int = 20_000
    ) -> tuple[list[Delivery], UUID | None]:
        """Newest event first, without attempts; and from where to go on, None at the end.

        After `scan` rows that did not match, the page ends short rather than late.
        """
        common = [
            tenant_id,
            filter.since,
            filter.before,
            filter.event_type,
            [int(state) for state in filter.states],
            list(filter.status_classes),
            [int(result) for result in filter.results],
            limit + 1,
        ]
        async with self._database.by_key() as connection:
            scanned: tuple[Any, ...] | None
            if filter.event_id is not None:
                low, high = ids.deliveries_of(filter.event_id)
                common[1] = max(filter.since, low)
                common[2] = min(filter.before, ids.after(high))
                rows = await connection.fetch(self.OF_EVENT, *common, filter.event_id, filter.webhook_id)
                scanned = None
            elif filter.webhook_id is not None:
                query, where_to = self.OF_WEBHOOK, self.SCANNED_OF_WEBHOOK
                if list(filter.states) == [State.FAILED]:
                    query, where_to = self.FAILED_OF_WEBHOOK, self.SCANNED_FAILED_OF_WEBHOOK
                rows = await connection.fetch(query, *common, filter.webhook_id, scan)
                scanned = (where_to, tenant_id, filter.since, filter.before, filter.webhook_id, scan - 1)
            else:
                # The last event that can have deliveries before `before`, which may lie amid an event's deliveries.
                newest = ids.deliveries_of(UUID(int=max(0, filter.before.int - 1)))[1]
                rows = await connection.fetch(self.OF_TENANT, *common, scan, newest)
                scanned = (self.SCANNED_OF_TENANT, tenant_id, filter.since, newest, scan - 1)
            page = [delivery_from_row(row) for row in rows[:limit]]
            if len(rows) > limit:
                return page, page[-1].id
            last = None if scanned is None else await connection.fetchval(*scanned)
            return page, last if last is None or filter.webhook_id is not None else ids.deliveries_of(last)[0]


def attempt_from_row(row: Mapping[str, Any]) -> Attempt:
    return Attempt(
        number=row["number"],
        trigger=Trigger(row["trigger"]),
        result=Result(row["result"]),
        status=row["status"],
        error=row["error"],
        url=row["url"],
        start_time=row["start_time"],
        latency=row["latency"] / 1_000_000,
        headers=tuple((name, value) for name, value in json.loads(row["response_headers"])),
        body=row["response_body"],
        truncated=row["truncated"],
        webhook_version=row["webhook_version"],
    )


def delivery_from_row(row: Mapping[str, Any], attempts: Sequence[Attempt] = ()) -> Delivery:
    return Delivery(
        id=row["id"],
        tenant_id=row["tenant_id"],
        event_id=row["event_id"],
        event_type=row["type"],
        webhook_id=row["webhook_id"],
        state=State(row["state"]),
        attempt_count=row["attempt_count"],
        last_result=None if row["last_result"] is None else Result(row["last_result"]),
        last_status=row["last_status"],
        due_time=row["due_at"],
        finish_time=row["finish_time"],
        attempts=tuple(attempts),
    )
