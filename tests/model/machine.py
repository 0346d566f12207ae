"""The steps: each does a verb of the stores and the same to the model, and compares what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hookpost_server.domain import errors, ids
from hookpost_server.domain.delivery import Claim, Record, State, Trigger, conclude
from hookpost_server.domain.event import Event
from hookpost_server.domain.secret import Secret
from hookpost_server.domain.webhook import Settings
from hookpost_server.domain.webhook import State as WebhookState
from hookpost_server.store.cursor import Cursor, Wanted
from hookpost_server.store.delivery_log import Filter
from hookpost_server.store.events import Emitted, Room
from hookpost_server.store.missed import Missed
from tests.store import making

from . import agreement
from .chances import BATCHES, ENDS, ROOMS, SETTINGS
from .expected import OUTCOMES, POLICIES, TICKS, Entry, Key, Model, Subscriber, Told
from .stage import Stage

FIRST, LAST = UUID(int=0), UUID(int=2**128 - 1)
WEBHOOKS = 5  # at once


class Machine(RuleBasedStateMachine):
    """One tenant's life."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage
        self.tenant = stage.tenant()
        self.model = Model()
        self.held: list[Claim] = []  # by the process
        self.claims: list[Claim] = []  # every one there ever was
        self.secrets = 0

    # Webhooks.

    @initialize(data=st.data(), given=st.lists(SETTINGS, min_size=1, max_size=2), contents=BATCHES)
    def begin(self, data: st.DataObject, given: list[dict[str, Any]], contents: list[dict[str, Any]]) -> None:
        for each in given:
            self.create(each)
        self.emit(data, contents, 1000)

    @precondition(lambda self: len(self.model.live) < WEBHOOKS)
    @rule(given=SETTINGS)
    def create(self, given: dict[str, Any]) -> None:
        secret = self.secret()
        made = self.stage.run(self.stage.webhooks.create(self.tenant, making.settings(**given), Secret(secret)))
        webhook = Subscriber(made.id, "", (), 0, POLICIES[0], [Key(secret)])
        self.set(webhook, given)
        self.model.webhooks.append(webhook)

    @precondition(lambda self: self.model.live)
    @rule(data=st.data(), given=SETTINGS)
    def update(self, data: st.DataObject, given: dict[str, Any]) -> None:
        webhook = self.choose(data, "webhook", self.model.live)

        def change(before: Settings) -> Settings:
            assert before.url == webhook.url
            return making.settings(**given)

        self.stage.run(self.stage.webhooks.update(self.tenant, webhook.id, change))
        webhook.version += 1
        self.set(webhook, given)

    @precondition(lambda self: self.model.live)
    @rule(data=st.data(), state=st.sampled_from((WebhookState.DISABLED, WebhookState.ACTIVE)))
    def set_state(self, data: st.DataObject, state: WebhookState) -> None:
        webhook = self.choose(data, "webhook", self.model.live)
        webhooks = self.stage.webhooks
        if state is WebhookState.ACTIVE:
            reason = ""
            self.model.resume(webhook)
            self.stage.run(self.stage.enable(self.tenant, webhook.id))
        else:
            reason = "holidays"
            self.stage.run(webhooks.disable(self.tenant, webhook.id, reason))
        if (webhook.state, webhook.reason) != (state, reason):
            webhook.state, webhook.reason = state, reason
            webhook.version += 1

    @precondition(lambda self: self.model.live)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        webhook = self.choose(data, "webhook", self.model.live)
        cancelled = self.stage.run(self.stage.webhooks.delete(self.tenant, webhook.id))
        assert cancelled == self.model.cancel(webhook)
        webhook.state = None

    @precondition(lambda self: self.model.live)
    @rule(data=st.data(), overlap=st.sampled_from((0.0, 600.0, 3600.0)))
    def rotate_key(self, data: st.DataObject, overlap: float) -> None:
        webhook = self.choose(data, "webhook", self.model.live)
        secret = self.secret()
        self.stage.run(self.stage.webhooks.rotate_key(self.tenant, webhook.id, Secret(secret), overlap))
        until = self.model.now + overlap
        for key in webhook.keys:
            key.expires = until if key.expires is None else min(key.expires, until)
        webhook.keys.insert(0, Key(secret))
        webhook.version += 1

    # Events.

    @rule(data=st.data(), contents=BATCHES, room=st.sampled_from((0, 1, 1000)))
    def emit(self, data: st.DataObject, contents: list[dict[str, Any]], room: int) -> None:
        full = self.full(data)
        events = [making.event(tenant_id=self.tenant, **content) for content in contents]
        accepted = self.stage.run(self.stage.events.emit(events, Room(room, [webhook.id for webhook in full])))
        made = self.expect(events, accepted.results)
        owned = [entry for entry in made if entry.webhook not in full]
        assert {claim.id for claim in accepted.claims} <= {entry.id for entry in owned}
        if not full or room >= len(made):
            assert len(accepted.claims) == min(room, len(owned))
        assert accepted.left_in_queue == (len(accepted.claims) < len(made))
        self.hold(accepted.claims)
        if room == 1:  # which one it was is the database's choice, as in `claim`
            self.claim_from(full)

    @rule(contents=BATCHES)
    def emit_atomically(self, contents: list[dict[str, Any]]) -> None:
        events = [making.event(tenant_id=self.tenant, **content) for content in contents]
        firsts = (
            self.model.keys | {e.idempotency_key: e for e in reversed(events) if e.idempotency_key} | self.model.keys
        )
        reused = any(e.idempotency_key and firsts[e.idempotency_key].fingerprint != e.fingerprint for e in events)
        try:
            accepted = self.stage.run(self.stage.events.emit_atomically(events, Room(0)))
        except errors.IdempotencyKeyReused:
            assert reused
        else:
            assert not reused
            assert not accepted.claims
            self.expect(events, accepted.results)

    def expect(self, events: Sequence[Event], results: Sequence[object]) -> list[Entry]:
        """Holds the results against the model, which takes the events in; returns the new deliveries."""
        made: list[Entry] = []
        for event, result in zip(events, results, strict=True):
            first = self.model.keys.get(event.idempotency_key or "")
            if first is None:
                fresh = self.take_in(event)
                assert result == Emitted(event.id, len(fresh))
                made += fresh
            elif first.fingerprint == event.fingerprint:
                assert result == Emitted(first.id, len(self.model.of_event(first.id)), duplicate=True)
            else:
                assert isinstance(result, errors.IdempotencyKeyReused)
        return made

    def take_in(self, event: Event) -> list[Entry]:
        self.model.events[event.id] = event
        if event.idempotency_key:
            self.model.keys[event.idempotency_key] = event
        wanted = [webhook for webhook in self.model.live if webhook.active and webhook.wants(event.type)]
        made = [Entry(ids.delivery(event.id, webhook.id), event, webhook, self.model.now) for webhook in wanted]
        self.model.entries |= {entry.id: entry for entry in made}
        return made

    # The queue.

    @precondition(lambda self: any(self.model.claimable(webhook) for webhook in self.model.webhooks))
    @rule(data=st.data(), room=ROOMS, room_each=ROOMS)
    def claim(self, data: st.DataObject, room: int, room_each: int) -> None:
        """Some, then the rest: which ones come first is the database's choice, and steps must repeat themselves."""
        full = self.full(data)
        self.claim_from(full, room, room_each)
        self.claim_from(full)

    def claim_from(self, full: list[Subscriber], room: int = 1000, room_each: int = 1000) -> set[UUID]:
        wanted = Wanted(room=room, room_each=room_each, full=[webhook.id for webhook in full])
        found, _ = self.stage.run(self.stage.deliveries.claim(Cursor(self.tenant, FIRST), wanted))
        there = {w.id: self.model.claimable(w) for w in self.model.webhooks if w not in full}
        assert len(found) == min(room, sum(min(room_each, len(entries)) for entries in there.values()))
        for claim in found:
            entry = self.model.entries[claim.id]
            assert entry in there[claim.webhook_id]
            assert claim.webhook_version == (0 if entry.webhook.state is None else entry.webhook.version)
            assert (claim.attempt, claim.trigger) == (len(entry.attempts) + 1, entry.trigger)
            assert (claim.event.id, claim.event.type, claim.event.payload) == (
                (entry.event.id, entry.event.type, entry.event.payload)
            )
        self.hold(found)
        if gone := [claim for claim in found if not claim.webhook_version]:
            self.cancel(gone)
        return {claim.id for claim in found}

    def cancel(self, claims: Sequence[Claim]) -> None:
        """As by a courier who finds the webhook gone; claims that were taken over since are not its own to end."""
        self.stage.run(self.stage.deliveries.cancel(claims))
        for claim in claims:
            self.held.remove(claim)
            entry = self.model.entries[claim.id]
            if entry.holder is claim:
                entry.state, entry.holder = State.CANCELLED, None

    @precondition(lambda self: any(self.model.entries[claim.id].webhook.state is None for claim in self.held))
    @rule()
    def look(self) -> None:
        """The process finds out which of what it holds is of webhooks that are gone."""
        self.cancel([claim for claim in self.held if self.model.entries[claim.id].webhook.state is None])

    def hold(self, claims: Sequence[Claim]) -> None:
        order = list(self.model.entries)  # the same in every run of the same steps; ids are not
        for claim in sorted(claims, key=lambda claim: order.index(claim.id)):
            self.model.take(claim)
            self.held.append(claim)
            self.claims.append(claim)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), told=ENDS)
    def attempt(self, data: st.DataObject, told: list[str]) -> None:
        """Some of what is held, written as one batch; leases may have lapsed, and others may have claimed since."""
        batch = [(self.held.pop(self.index(data, "held", self.held)), name) for name in told[: len(self.held)]]
        if batch:
            self.record(data, batch)

    @rule(data=st.data(), contents=BATCHES, told=ENDS)
    def work(self, data: st.DataObject, contents: list[dict[str, Any]], told: list[str]) -> None:
        """What a process mostly does."""
        self.emit(data, contents, 1000)
        self.claim_from([])
        self.attempt(data, told)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), name=st.sampled_from(sorted(OUTCOMES)))
    def late(self, data: st.DataObject, name: str) -> None:
        """The outcome of any claim there was: crashed, superseded, or recorded before."""
        claim = self.choose(data, "claim", self.claims)
        if claim in self.held:
            self.held.remove(claim)
        self.record(data, [(claim, name)])

    def record(self, data: st.DataObject, batch: list[tuple[Claim, str]]) -> None:
        model = self.model
        model.batches += 1
        records, taken = [], set()
        for claim, name in batch:
            told: Told = OUTCOMES[name]
            entry = model.entries[claim.id]
            webhook = entry.webhook
            spread = data.draw(st.sampled_from((0.0, 1.0, -1.0)), label="spread")
            conclusion = conclude(claim.attempt, webhook.policy, told.outcome, spread, claim.trigger)
            assert bool(conclusion.suspend) == told.suspends
            records.append(
                Record(claim, told.outcome, conclusion, webhook.url, datetime.now(UTC), 0.25, webhook.version)
            )
            if model.conclude(claim, told, webhook.version):
                taken.add(claim.id)
                if conclusion.delay is not None:
                    entry.due = model.now + conclusion.delay
        stand = self.stage.run(self.stage.deliveries.record(records))
        assert stand == {delivery_id: model.entries[delivery_id].state for delivery_id in taken}
        for record in records:  # as the recorder does it, also for late outcomes
            if reason := record.conclusion.suspend:
                webhook = model.entries[record.claim.id].webhook
                self.stage.run(self.stage.suspensions.suspend(self.tenant, webhook.id, reason))
                model.suspend(webhook, reason)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        claim = self.held.pop(self.index(data, "held", self.held))
        self.stage.run(self.stage.deliveries.release([claim]))
        entry = self.model.entries[claim.id]
        if entry.holder is claim:
            entry.due = self.model.now

    @precondition(lambda self: self.held)
    @rule()
    def crash(self) -> None:
        self.held.clear()

    @precondition(lambda self: self.model.entries)
    @rule(seconds=st.sampled_from(TICKS))
    def tick(self, seconds: float) -> None:
        self.stage.run(self.stage.pass_time(self.tenant, seconds))
        self.model.now += seconds

    # Again.

    @precondition(lambda self: self.model.entries)
    @rule(data=st.data(), ended=st.booleans())
    def redeliver(self, data: st.DataObject, ended: bool) -> None:
        entries = list(self.model.entries.values())
        among = [entry for entry in entries if entry.state is not State.PENDING] if ended else []
        entry = self.choose(data, "delivery", among or entries)
        try:
            self.stage.run(self.stage.replays.redeliver(self.tenant, entry.id))
        except errors.DeliveryNotEnded:
            assert entry.state is State.PENDING
        except errors.NotFound as error:
            assert "webhook" in error.message
            assert entry.webhook.state is None
        else:
            assert entry.state is not State.PENDING
            assert entry.webhook.state is not None
            self.model.put_back(entry, Trigger.REDELIVERY)

    @precondition(lambda self: self.model.live and self.model.events)
    @rule(data=st.data(), missed=st.booleans(), stop=st.booleans(), interval=st.sampled_from((0.0, 300.0)))
    def replay(self, data: st.DataObject, missed: bool, stop: bool, interval: float) -> None:
        """Of a webhook: what has ended, and what it was not subscribed to, or not active for, if `missed`."""
        model = self.model
        failed = [webhook for webhook in model.live if model.health(webhook)[1]]
        webhook = self.choose(data, "webhook", failed or model.live)
        ended = [e for e in model.entries.values() if e.webhook is webhook and e.state is not State.PENDING]
        again = sorted(ended, key=lambda entry: entry.id)
        for entry in again:
            model.put_back(entry, Trigger.REPLAY)
        if missed:
            have = {entry.event.id for entry in model.entries.values() if entry.webhook is webhook}
            for event in sorted(model.events.values(), key=lambda event: event.id):
                if event.id not in have and webhook.wants(event.type):
                    made = Entry(ids.delivery(event.id, webhook.id), event, webhook, model.now, trigger=Trigger.REPLAY)
                    model.entries[made.id] = made
                    again.append(made)
        replay_id, count = self.stage.run(
            self.stage.replays.replay(
                self.tenant,
                Filter(FIRST, LAST, webhook_id=webhook.id),
                _missed(webhook.patterns) if missed else None,
                interval=interval,
            )
        )
        assert count == len(again)
        model.replays.append(replay_id)
        for number, entry in enumerate(again):
            entry.replay = replay_id
            entry.due = model.now + number * interval
        if stop:
            self.stop(replay_id)

    @precondition(lambda self: self.model.replays)
    @rule(data=st.data())
    def stop_replay(self, data: st.DataObject) -> None:
        self.stop(self.choose(data, "replay", self.model.replays))

    def stop(self, replay_id: UUID) -> None:
        waiting = [entry for entry in self.model.entries.values() if entry.replay == replay_id]
        try:
            assert self.stage.run(self.stage.replays.stop(self.tenant, replay_id)) == len(waiting)
        except errors.NotFound:
            assert not waiting
        for entry in waiting:
            entry.state, entry.holder, entry.replay = entry.before, None, None

    @precondition(lambda self: self.model.entries)
    @rule()
    def settle(self) -> None:
        """Nothing is lost: whatever waits is claimed once its webhook is active, or gone, and time has passed."""
        for webhook in self.model.live:
            self.stage.run(self.stage.enable(self.tenant, webhook.id))
            webhook.version += not webhook.active
            webhook.state, webhook.reason = WebhookState.ACTIVE, ""
        self.tick(8 * 86_400.0)
        figures = self.stage.run(self.stage.figures.of(self.tenant, [webhook.id for webhook in self.model.live]))
        for webhook in self.model.live:
            real = figures[webhook.id]
            counted = (real.succeeded, real.failed, real.attempts, real.consecutive_failures)
            assert counted == self.model.health(webhook)
        pending = {entry.id for entry in self.model.entries.values() if entry.state is State.PENDING}
        assert self.claim_from([]) == pending

    @invariant()
    def agrees(self) -> None:
        self.stage.run(agreement.check(self.stage, self.tenant, self.model))

    # Helpers.

    def set(self, webhook: Subscriber, given: dict[str, Any]) -> None:
        webhook.url, webhook.patterns = given["url"], given["event_types"]
        webhook.in_flight, webhook.policy = given["max_in_flight"], given["retry_policy"]

    def secret(self) -> str:
        self.secrets += 1
        return f"secret {self.secrets}"

    def index(self, data: st.DataObject, label: str, among: Sequence[object]) -> int:
        return data.draw(st.integers(0, len(among) - 1), label=label)

    def choose(self, data: st.DataObject, label: str, among: Sequence[Any]) -> Any:
        return among[self.index(data, label, among)]

    def full(self, data: st.DataObject) -> list[Subscriber]:
        """Webhooks that this process has no room for: mostly none."""
        if not self.model.live or data.draw(st.integers(0, 3), label="full") < 3:
            return []
        return [self.choose(data, "webhook", self.model.live)]


def _missed(patterns: Sequence[str]) -> Missed:
    return Missed(
        [pattern for pattern in patterns if not pattern.endswith("*")],
        [pattern[:-1] for pattern in patterns if pattern.endswith("*")],
    )
