"""Compares three witnesses once all is quiet: the producer's acknowledgements, the receiver's notes, the database.

What must hold, whatever died meanwhile:

I1  An acknowledged event is there, under its key and no other, and all its deliveries have ended well.
I2  One delivery for each (event, webhook).
I3  Attempts are numbered 1…n without gap or repeat, n is the delivery's count, and each one was received as a POST.
I4  All POSTs of a delivery carry the same `webhook-id` and the same body.
I5  No POST comes after its delivery has ended.

A POST whose outcome was lost with its process is made again under the same number. Such repeats are `duplicates`, and
each needs an excuse: a delivery that was claimed when a process died.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import asyncpg

from hookpost_server.domain import ids
from hookpost_server.domain.delivery import Result, State

SHOWN = 5  # examples of a kind of fault


@dataclass(frozen=True)
class Ack:
    key: str
    event: str
    time: float  # unix seconds


@dataclass(frozen=True)
class Post:
    delivery: str
    event: str
    attempt: int
    timestamp: int  # unix seconds by the server's clock
    body: str
    time: float  # unix seconds when all of it was there


@dataclass(frozen=True)
class Delivery:
    id: str
    event: str
    webhook: str
    state: State
    attempt_count: int
    finish_time: float | None


@dataclass(frozen=True)
class Dump:
    """What the database says."""

    keys: Mapping[str, str | None]  # of events, by id
    deliveries: Collection[Delivery]
    attempts: Mapping[str, list[tuple[int, Result]]]  # by delivery, in order


@dataclass
class Verdict:
    """What became of everything. All is well when nothing is lost or mismatched and each duplicate is excused."""

    acknowledged: int = 0
    events: int = 0
    posts: int = 0
    lost: list[str] = field(default_factory=list)
    duplicates: int = 0  # POSTs beyond those that the log knows
    unexcused: list[str] = field(default_factory=list)  # deliveries with more duplicates than processes died over them
    mismatches: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        kinds = {"lost": self.lost, "duplicate without excuse": self.unexcused, "mismatch": self.mismatches}
        return [f"{kind} ({len(found)}): {'; '.join(found[:SHOWN])}" for kind, found in kinds.items() if found]


Note = TypeVar("Note", Ack, Post)


class Notes(Generic[Note]):
    """A file of notes that another process appends to."""

    def __init__(self, path: Path, kind: type[Note]) -> None:
        self.path = path
        self._kind = kind
        self._read = 0
        self._notes: list[Note] = []

    def all(self) -> list[Note]:
        """All complete lines so far: the last one may be under way."""
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._read)
                text = file.read()
            end = text.rfind(b"\n") + 1
            self._read += end
            self._notes += [self._kind(**json.loads(line)) for line in text[:end].splitlines()]
        return self._notes


async def dump(connection: asyncpg.Connection) -> Dump:
    events = await connection.fetch("select id, idempotency_key from events")
    deliveries = await connection.fetch(
        "select id, event_id, webhook_id, state, attempt_count, extract(epoch from finish_time)::float8 as finish_time "
        "from deliveries"
    )
    attempts: dict[str, list[tuple[int, Result]]] = defaultdict(list)
    for row in await connection.fetch("select delivery_id, number, result from attempts order by delivery_id, number"):
        attempts[ids.text(ids.DELIVERY, row["delivery_id"])].append((row["number"], Result(row["result"])))
    return Dump(
        {ids.text(ids.EVENT, row["id"]): row["idempotency_key"] for row in events},
        [
            Delivery(
                ids.text(ids.DELIVERY, row["id"]),
                ids.text(ids.EVENT, row["event_id"]),
                ids.text(ids.WEBHOOK, row["webhook_id"]),
                State(row["state"]),
                row["attempt_count"],
                row["finish_time"],
            )
            for row in deliveries
        ],
        attempts,
    )


def check(
    acks: Collection[Ack], posts: Collection[Post], dump: Dump, *, webhooks: int, may_repeat: MutableMapping[str, int]
) -> Verdict:
    """`webhooks`: how many get each event. `may_repeat`: how often a delivery may have been repeated; 0 if not said."""
    verdict = Verdict(len(acks), len(dump.keys), len(posts))
    received: dict[str, list[Post]] = defaultdict(list)
    for post in posts:
        received[post.delivery].append(post)
    _check_events(verdict, acks, dump)
    _check_entries(verdict, dump, webhooks)
    for delivery in dump.deliveries:
        _check_delivery(
            verdict, delivery, dump.attempts.get(delivery.id, []), received.pop(delivery.id, []), may_repeat
        )
    known = {delivery.id for delivery in dump.deliveries}
    verdict.mismatches += [f"{each}: attempts without an entry" for each in dump.attempts if each not in known]
    verdict.mismatches += [f"{each}: POSTs without an entry" for each in received]
    return verdict


def _check_events(verdict: Verdict, acks: Collection[Ack], dump: Dump) -> None:
    for ack in acks:
        if ack.event not in dump.keys:
            verdict.lost.append(f"{ack.event} was acknowledged and is not there")
        elif dump.keys[ack.event] != ack.key:
            verdict.mismatches.append(f"{ack.event} was acknowledged for key {ack.key}, not {dump.keys[ack.event]}")
    of_key = Counter(key for key in dump.keys.values() if key is not None)
    verdict.mismatches += [f"key {key} made {count} events" for key, count in of_key.items() if count > 1]


def _check_entries(verdict: Verdict, dump: Dump, webhooks: int) -> None:
    pairs = Counter((delivery.event, delivery.webhook) for delivery in dump.deliveries)
    verdict.mismatches += [f"{pair} has {count} entries" for pair, count in pairs.items() if count > 1]
    of_event = Counter(event for event, _ in pairs)
    verdict.lost += [f"{event} has {of_event[event]} entries" for event in dump.keys if of_event[event] < webhooks]


def _check_delivery(
    verdict: Verdict,
    delivery: Delivery,
    attempts: list[tuple[int, Result]],
    posts: list[Post],
    may_repeat: MutableMapping[str, int],
) -> None:
    name, excuses = delivery.id, may_repeat[delivery.id]
    if delivery.state is not State.SUCCEEDED:
        verdict.lost.append(f"{name} is {delivery.state.name} after {delivery.attempt_count} attempts")
    elif not posts:
        verdict.lost.append(f"{name} is said to have succeeded and was not received")
    numbers = [number for number, _ in attempts]
    if numbers != list(range(1, delivery.attempt_count + 1)):
        verdict.mismatches.append(f"{name} has attempts {numbers} and counts {delivery.attempt_count}")
    seen = Counter(post.attempt for post in posts)
    for number, result in attempts:
        if not seen[number] and result in (Result.SUCCEEDED, Result.BAD_STATUS):
            verdict.mismatches.append(f"{name} has an attempt {number} that was not received")
    if beyond := [number for number in seen if number not in numbers]:
        verdict.mismatches.append(f"{name} was POSTed as attempts {beyond}, which the log does not have")
    if len({(post.event, post.body) for post in posts}) > 1 or any(post.event != delivery.event for post in posts):
        verdict.mismatches.append(f"{name} was POSTed with another webhook-id or body")
    repeats = sum(count - 1 for count in seen.values() if count > 1)
    verdict.duplicates += repeats
    if repeats > excuses:
        verdict.unexcused.append(f"{name} was repeated {repeats} times, {excuses} excused")
    late = sum(delivery.finish_time is not None and post.time > delivery.finish_time for post in posts)
    if late > excuses:
        verdict.mismatches.append(f"{name} got {late} POSTs after its end")
