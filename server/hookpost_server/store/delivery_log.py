"""The log: deliveries with their attempts, one by one and in pages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from ..domain import errors, ids, webhook
from ..domain.delivery import Attempt, Delivery, Result, State, Trigger
from .database import Database

FIRST_LOOK = 4  # events for each entry of a page, before all that may be scanned


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
    replay_id: UUID | None = None

    @property
    def conditions(self) -> tuple[object, ...]:
        """What `matching` compares with: all conditions but the range."""
        return (
            self.webhook_id,
            self.event_id,
            self.event_type,
            [int(state) for state in self.states],
            list(self.status_classes),
            [int(result) for result in self.results],
            self.replay_id,
        )


def matching(first: int) -> str:
    """SQL: whether the delivery `d` meets a filter's conditions, which are the parameters from number `first` on."""
    webhook_id, event_id, event_type, states, status_classes, results, replay_id = (f"${first + n}" for n in range(7))
    return f"""
        ({webhook_id}::uuid is null or d.webhook_id = {webhook_id})
        and ({event_id}::uuid is null or d.event_id = {event_id})
        and ({event_type} = '' or d.type = {event_type})
        and ({states}::smallint[] = '{{}}' or d.state = any({states}::smallint[]))
        and ({status_classes}::smallint[] = '{{}}' or d.last_status / 100 = any({status_classes}::smallint[]))
        and ({results}::smallint[] = '{{}}' or d.last_result = any({results}::smallint[]))
        and ({replay_id}::uuid is null or exists (
            select from replay_items i
            where i.replay_id = {replay_id} and i.delivery_id = d.id and i.tenant_id = d.tenant_id))
    """


class DeliveryLog:
    """Reads log entries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    GET = """
        select d.*, d.state = 1 and d.claimed and d.due_at > now() as under_way, w.state as webhook_state
        from deliveries d left join webhooks w on w.id = d.webhook_id and w.tenant_id = d.tenant_id
        where d.id = $1 and d.tenant_id = $2
    """
    ATTEMPTS = "select * from attempts where delivery_id = $1 and tenant_id = $2 order by number"

    async def get(self, tenant_id: str, delivery_id: UUID) -> Delivery:
        """With its attempts and what it waits for. Raises NotFound."""
        async with self._database.at_one_moment() as connection:
            row = await connection.fetchrow(self.GET, delivery_id, tenant_id)
            if row is None:
                raise errors.NotFound("delivery", ids.text(ids.DELIVERY, delivery_id))
            attempts = await connection.fetch(self.ATTEMPTS, delivery_id, tenant_id)
        return replace(
            delivery_from_row(row, [attempt_from_row(attempt) for attempt in attempts]),
            under_way=row["under_way"],
            webhook_state=None if row["webhook_state"] is None else webhook.State(row["webhook_state"]),
        )

    FIRST_ATTEMPTS = """
        select * from attempts where delivery_id = any($1::uuid[]) and number = 1 and tenant_id = $2
    """

    async def first_attempts(self, tenant_id: str, delivery_ids: Sequence[UUID]) -> dict[UUID, Attempt]:
        """The first attempt of each delivery that has had one."""
        async with self._database.by_key() as connection:
            rows = await connection.fetch(self.FIRST_ATTEMPTS, delivery_ids, tenant_id)
        return {row["delivery_id"]: attempt_from_row(row) for row in rows}

    _MATCHES = f"{matching(4)} order by d.id desc limit $11"
    OF_EVENT = f"""
        select * from deliveries d where d.tenant_id = $1 and d.id >= $2 and d.id < $3 and {_MATCHES}
    """  # noqa: S608
    # Pending and ended deliveries have an index each.
    _OF_WEBHOOK = "from deliveries where tenant_id = $1 and webhook_id = $4 and id >= $2 and id < $3"
    OF_WEBHOOK = f"""
        select * from (
            (select * {_OF_WEBHOOK} and state = 1 order by id desc limit $12)
            union all (select * {_OF_WEBHOOK} and state <> 1 order by id desc limit $12)
            order by id desc limit $12) d
        where {_MATCHES}
    """  # noqa: S608
    FAILED_OF_WEBHOOK = f"""
        select * from (select * {_OF_WEBHOOK} and state = 3 order by id desc limit $12) d where {_MATCHES}
    """  # noqa: S608
    OF_REPLAY = f"""
        select d.* from (
            select delivery_id from replay_items
            where replay_id = $10 and tenant_id = $1 and delivery_id >= $2 and delivery_id < $3
            order by delivery_id desc limit $12) i
        cross join lateral (select * from deliveries where id = i.delivery_id and tenant_id = $1 limit 1) d
        where {_MATCHES}
    """  # noqa: S608
    # By way of the events, which have an index by tenant: a delivery's id begins like its event's.
    OF_TENANT = f"""
        select d.* from (
            select id from events where tenant_id = $1 and id >= $2 and id <= $13 order by id desc limit $12) e
        cross join lateral (
            select * from deliveries where tenant_id = $1 and event_id = e.id and id < $3
              and id >= (left(e.id::text, 24) || '000000000000')::uuid
              and id <= (left(e.id::text, 24) || 'ffffffffffff')::uuid
            order by id desc) d
        where {_MATCHES}
    """  # noqa: S608
    # Where these scans ended; each must pass over the very rows that its list does.
    SCANNED_OF_WEBHOOK = f"""
        (select id {_OF_WEBHOOK} and state = 1 order by id desc limit $5 + 1)
        union all (select id {_OF_WEBHOOK} and state <> 1 order by id desc limit $5 + 1)
        order by id desc offset $5 limit 1
    """
    SCANNED_FAILED_OF_WEBHOOK = f"select id {_OF_WEBHOOK} and state = 3 order by id desc offset $5 limit 1"
    SCANNED_OF_REPLAY = """
        select delivery_id from replay_items
        where replay_id = $4 and tenant_id = $1 and delivery_id >= $2 and delivery_id < $3
        order by delivery_id desc offset $5 limit 1
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
        since, before, conditions = filter.since, filter.before, filter.conditions
        async with self._database.by_range() as connection:
            scanned: tuple[Any, ...] | None
            if filter.event_id is not None:
                low, high = ids.deliveries_of(filter.event_id)
                since, before = max(since, low), min(before, ids.after(high))
                rows = await connection.fetch(self.OF_EVENT, tenant_id, since, before, *conditions, limit + 1)
                scanned = None
            elif filter.replay_id is not None:
                rows = await connection.fetch(self.OF_REPLAY, tenant_id, since, before, *conditions, limit + 1, scan)
                scanned = (self.SCANNED_OF_REPLAY, tenant_id, since, before, filter.replay_id, scan - 1)
            elif filter.webhook_id is not None:
                query, where_to = self.OF_WEBHOOK, self.SCANNED_OF_WEBHOOK
                if list(filter.states) == [State.FAILED]:
                    query, where_to = self.FAILED_OF_WEBHOOK, self.SCANNED_FAILED_OF_WEBHOOK
                rows = await connection.fetch(query, tenant_id, since, before, *conditions, limit + 1, scan)
                scanned = (where_to, tenant_id, since, before, filter.webhook_id, scan - 1)
            else:
                # The last event that can have deliveries before `before`, which may lie amid an event's deliveries.
                newest = ids.deliveries_of(UUID(int=max(0, before.int - 1)))[1]
                for events in (FIRST_LOOK * (limit + 1), scan):  # a page is mostly found among the first few
                    rows = await connection.fetch(
                        self.OF_TENANT, tenant_id, since, before, *conditions, limit + 1, min(events, scan), newest
                    )
                    if len(rows) > limit or events >= scan:
                        break
                scanned = (self.SCANNED_OF_TENANT, tenant_id, since, newest, scan - 1)
            page = [delivery_from_row(row) for row in rows[:limit]]
            if len(rows) > limit:
                return page, page[-1].id
            last = None if scanned is None else await connection.fetchval(*scanned)
        of_tenant = filter.replay_id is filter.webhook_id is None
        return page, ids.deliveries_of(last)[0] if last is not None and of_tenant else last


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
        headers=tuple((name, value) for name, value in json.loads(row["response_headers"] or "[]")),
        body=row["response_body"] or b"",
        truncated=row["truncated"],
        removed=row["response_body"] is None,
        webhook_version=row["webhook_version"],
        composer_id=row["composer_id"],
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
