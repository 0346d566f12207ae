"""The model: what the database ought to hold, in dicts, with a clock that only ticks when told to.

It shares no rule with the server: what an outcome leads to is written down with the outcome, in OUTCOMES.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from hookpost_server.domain.delivery import Claim, Outcome, Result, State, Trigger, answered
from hookpost_server.domain.event import Event
from hookpost_server.domain.retry import RetryPolicy, Schedule
from hookpost_server.domain.webhook import State as WebhookState

# Times are multiples of 300 s: what an example takes in real seconds is never mistaken for time that was told to pass.
LEASE = 1200.0  # seconds
TICKS = (300.0, 1200.0, 3600.0, 90_000.0)  # seconds
POLICIES = (
    RetryPolicy(Schedule.NONE, ()),
    RetryPolicy(Schedule.CUSTOM, (0.0, 600.0), 0.0),
    RetryPolicy(Schedule.CUSTOM, (600.0, 3600.0, 0.0, 86_400.0), 0.5),
)


@dataclass(frozen=True, slots=True)
class Told:
    """What a receiver, or our own fault, made of an attempt, and what must follow."""

    outcome: Outcome
    ends: State | None = None  # None: tried again while there are attempts
    most: int = 100  # attempts, whatever the policy says
    suspends: bool = False


OUTCOMES = {
    "200": Told(answered(200, headers=(("x-a", "b"),), body=b"ok\0"), State.SUCCEEDED),
    "204": Told(answered(204), State.SUCCEEDED),
    "301": Told(answered(301), State.FAILED),
    "404": Told(answered(404), State.FAILED),
    "410": Told(answered(410), State.FAILED, suspends=True),
    "429 for 900 s": Told(answered(429, retry_after=900.0)),
    "500": Told(answered(500, body=b"oops")),
    "503 for ever": Told(answered(503, retry_after=1e9)),
    "timeout": Told(Outcome(result=Result.TIMED_OUT, error="no answer")),
    "internal": Told(Outcome(result=Result.INTERNAL), most=3),
}


@dataclass(slots=True)
class Key:
    secret: str
    expires: float | None = None  # by the model's clock; None: current


@dataclass(slots=True)
class Subscriber:
    """A webhook."""

    id: UUID
    url: str
    patterns: tuple[str, ...]
    in_flight: int
    policy: RetryPolicy
    keys: list[Key]  # newest first
    state: WebhookState | None = WebhookState.ACTIVE  # None: deleted
    reason: str = ""
    version: int = 1
    last_success: int = 0  # the batch that had it
    failed_after: int = 0  # in that batch, after it; they leave the streak with the next success only

    @property
    def active(self) -> bool:
        return self.state is WebhookState.ACTIVE

    def wants(self, kind: str) -> bool:
        return any(
            pattern in ("*", kind) or (pattern.endswith(".*") and kind.startswith(pattern[:-1]))
            for pattern in self.patterns
        )


@dataclass(frozen=True, slots=True)
class Tried:
    """A row of the log's attempts."""

    trigger: Trigger
    result: Result
    status: int | None
    url: str
    version: int


@dataclass(slots=True)
class Entry:
    """A delivery."""

    id: UUID
    event: Event
    webhook: Subscriber
    due: float  # by the model's clock
    state: State = State.PENDING
    ended: int = 0  # the batch that recorded its last end
    trigger: Trigger = Trigger.SCHEDULED
    holder: Claim | None = None  # the claim whose outcome counts
    attempts: list[Tried] = field(default_factory=list)
    replay: UUID | None = None  # that put it back and can still take it back
    before: State = State.CANCELLED  # that replay; it made those that it cancels

    @property
    def row(self) -> tuple[object, ...]:
        """What the database says of it, but for its times."""
        last = self.attempts[-1] if self.attempts else None
        return (
            self.event.id,
            self.webhook.id,
            self.event.type,
            self.state,
            self.trigger,
            len(self.attempts),
            last and last.result,
            last and last.status,
        )


@dataclass(slots=True)
class Model:
    """All of it."""

    now: float = 0.0
    webhooks: list[Subscriber] = field(default_factory=list)
    events: dict[UUID, Event] = field(default_factory=dict)
    entries: dict[UUID, Entry] = field(default_factory=dict)
    keys: dict[str, Event] = field(default_factory=dict)  # idempotency keys
    replays: list[UUID] = field(default_factory=list)
    batches: int = 0

    @property
    def live(self) -> list[Subscriber]:
        return [webhook for webhook in self.webhooks if webhook.state is not None]

    def of_event(self, event_id: UUID) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.event.id == event_id]

    def waiting(self, webhook: Subscriber) -> list[Entry]:
        return [e for e in self.entries.values() if e.webhook is webhook and e.state is State.PENDING]

    def claimable(self, webhook: Subscriber) -> list[Entry]:
        """Of a deleted webhook too, to be cancelled."""
        claimable = webhook.active or webhook.state is None
        return [entry for entry in self.waiting(webhook) if claimable and entry.due <= self.now]

    def take(self, claim: Claim) -> None:
        """A process holds it now, until its lease lapses."""
        entry = self.entries[claim.id]
        entry.holder, entry.due, entry.replay = claim, self.now + LEASE, None

    def put_back(self, entry: Entry, trigger: Trigger) -> None:
        """It has not ended any more, and claims of before are superseded."""
        entry.before, entry.state = entry.state, State.PENDING
        entry.trigger, entry.due, entry.holder, entry.replay = trigger, self.now, None, None

    def resume(self, webhook: Subscriber) -> None:
        """What is due at a webhook that was stopped comes due anew when it is enabled, little by little."""
        if not webhook.active:
            for entry in self.waiting(webhook):
                entry.due = max(entry.due, self.now)

    def cancel(self, webhook: Subscriber) -> int:
        """Ends what waits for a webhook that is gone, unless somebody holds it; returns how many."""
        waiting = [e for e in self.waiting(webhook) if e.holder is None or e.due <= self.now]
        for entry in waiting:
            entry.state, entry.holder, entry.replay = State.CANCELLED, None, None
        return len(waiting)

    def conclude(self, claim: Claim, told: Told, version: int) -> bool:
        """An attempt has ended, made with that version's settings; returns whether the outcome counts."""
        entry = self.entries[claim.id]
        if entry.holder is not claim:
            return False
        webhook = entry.webhook
        entry.holder = None
        entry.attempts.append(Tried(entry.trigger, told.outcome.result, told.outcome.status, webhook.url, version))
        most = min(len(webhook.policy.delays) + 1, told.most)
        spent = entry.trigger is Trigger.REDELIVERY or len(entry.attempts) >= most
        again = State.CANCELLED if webhook.state is None else State.PENDING
        entry.state = told.ends or (State.FAILED if spent else again)
        entry.ended = self.batches
        if entry.state is State.SUCCEEDED:
            webhook.last_success, webhook.failed_after = self.batches, 0
        elif entry.state is State.FAILED and webhook.last_success == self.batches:
            webhook.failed_after += 1
        return True

    def suspend(self, webhook: Subscriber, reason: str) -> None:
        """Changes nothing unless it is active."""
        if webhook.active:
            webhook.state, webhook.reason = WebhookState.SUSPENDED, reason
            webhook.version += 1

    def health(self, webhook: Subscriber) -> tuple[int, int, int, int]:
        """Deliveries that succeeded, that failed, attempts, and failures since the last success."""
        entries = [entry for entry in self.entries.values() if entry.webhook is webhook]
        failed = [entry for entry in entries if entry.state is State.FAILED]
        return (
            sum(entry.state is State.SUCCEEDED for entry in entries),
            len(failed),
            sum(len(entry.attempts) for entry in entries),
            sum(entry.ended > webhook.last_success for entry in failed) + webhook.failed_after,
        )
