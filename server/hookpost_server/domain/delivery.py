"""The heart: a delivery, what an attempt came to, and what follows from it.

              emit
               │
               ▼        failed, retry due
          ┌─ PENDING ◀──────────────┐
deleted   │    │ attempt ended      │
          │    ▼                    │
          │ conclude() ─────────────┘
          │    │   └── refused for good, or attempts spent ──▶ FAILED
          ▼    └────── 2xx ──────────────────────────────────▶ SUCCEEDED
      CANCELLED

A breaker (breaker.py) may hold a webhook's deliveries back: no attempt is made and none is used up. They do not wait
for ever: what has been due for 24 h, or for as long as the webhook's retry policy lasts in all if that is longer,
becomes FAILED without a further attempt.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from . import ids, retry, webhook
from .event import Event

MAX_INTERNAL_ATTEMPTS = 3
RETRIED_STATUSES = frozenset({408, 425, 429})
OBEYED_RETRY_AFTER = frozenset({429, 503})
MOST_HELD = 24 * 3600.0  # seconds that a due delivery is held back at least before it is given up


class State(enum.IntEnum):
    """Where a delivery stands; numbers as in the proto and in SQL."""

    PENDING = 1
    SUCCEEDED = 2
    FAILED = 3
    CANCELLED = 4


class Trigger(enum.IntEnum):
    """Why an attempt is made; numbers as in the proto and in SQL."""

    SCHEDULED = 1
    REDELIVERY = 2
    REPLAY = 3
    TEST = 4


class Result(enum.IntEnum):
    """What an attempt came to: the proto's AttemptOutcome, with its numbers."""

    SUCCEEDED = 1
    BAD_STATUS = 2
    REDIRECTED = 3
    INVALID_RESPONSE = 4
    TIMED_OUT = 5
    DNS_FAILED = 6
    CONNECT_FAILED = 7
    TLS_FAILED = 8
    CONNECTION_LOST = 9
    ADDRESS_REFUSED = 10
    INTERNAL = 11


TRANSPORT_FAILURES = frozenset(
    {
        Result.INVALID_RESPONSE,
        Result.TIMED_OUT,
        Result.DNS_FAILED,
        Result.CONNECT_FAILED,
        Result.TLS_FAILED,
        Result.CONNECTION_LOST,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of one attempt, good or bad: a value, never an exception."""

    result: Result
    status: int | None = None  # 100 to 599; None when no answer came
    error: str = ""  # one technical line
    headers: tuple[tuple[str, str], ...] = ()  # of the answer, names in lower case
    body: bytes = b""  # of the answer, cut at the cap
    truncated: bool = False
    retry_after: float | None = None  # seconds


def answered(
    status: int,
    *,
    headers: tuple[tuple[str, str], ...] = (),
    body: bytes = b"",
    truncated: bool = False,
    retry_after: float | None = None,
) -> Outcome:
    """The outcome of an answer: 2xx succeeds, 3xx is a redirect not followed, all else is a bad status."""
    if 200 <= status <= 299:
        result = Result.SUCCEEDED
    elif 300 <= status <= 399:
        result = Result.REDIRECTED
    else:
        result = Result.BAD_STATUS
    return Outcome(
        result=result, status=status, headers=headers, body=body, truncated=truncated, retry_after=retry_after
    )


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What follows from an attempt."""

    state: State
    delay: float | None = None  # seconds until the next attempt; set exactly when PENDING
    suspend: str = ""  # why the webhook is to be suspended; empty: it is not


def conclude(
    attempt: int, policy: retry.RetryPolicy, outcome: Outcome, spread: float, trigger: Trigger = Trigger.SCHEDULED
) -> Conclusion:
    """Decides what follows from the outcome of attempt number `attempt`. `spread` is the jitter's chance, -1 to 1.

    A redelivery is one attempt; a replay goes by the policy, of which most have spent their attempts.
    """
    if outcome.result is Result.SUCCEEDED:
        return Conclusion(State.SUCCEEDED)
    if outcome.status == 410:
        return Conclusion(State.FAILED, suspend="the receiver answered 410 Gone")
    if not is_retried(outcome) or trigger is Trigger.REDELIVERY:
        return Conclusion(State.FAILED)
    if outcome.result is Result.INTERNAL and attempt >= MAX_INTERNAL_ATTEMPTS:
        return Conclusion(State.FAILED)
    retry_after = outcome.retry_after if outcome.status in OBEYED_RETRY_AFTER else None
    delay = retry.next_delay(policy, attempt, spread, retry_after)
    return Conclusion(State.FAILED) if delay is None else Conclusion(State.PENDING, delay)


def is_retried(outcome: Outcome) -> bool:
    """Whether another attempt could help: ≥ 500, 408, 425, 429, every failure to get an answer, and our own faults."""
    if outcome.result is Result.BAD_STATUS:
        status = outcome.status or 0
        return status >= 500 or status in RETRIED_STATUSES
    return outcome.result in TRANSPORT_FAILURES or outcome.result is Result.INTERNAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One POST in a delivery's log entry."""

    number: int
    trigger: Trigger
    result: Result
    status: int | None
    error: str
    url: str
    start_time: datetime
    latency: float  # seconds
    headers: tuple[tuple[str, str], ...]
    body: bytes
    truncated: bool
    webhook_version: int = 0  # whose settings and keys the request was made with
    composer_id: int = 0  # which server's way of making it
    removed: bool = False  # headers and body, by retention


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The log entry: one for each (event, webhook)."""

    id: UUID
    tenant_id: str
    event_id: UUID
    event_type: str
    webhook_id: UUID
    state: State
    attempt_count: int
    last_result: Result | None
    last_status: int | None
    due_time: datetime
    finish_time: datetime | None
    attempts: tuple[Attempt, ...] = ()
    # What it waited for when it was read by its id; lists do not tell.
    under_way: bool = field(default=False, compare=False)  # an attempt is made now, or about to be
    webhook_state: webhook.State | None = field(default=None, compare=False)  # None: the webhook is deleted

    @property
    def expired(self) -> bool:
        """Whether it was given up because a breaker held it back for too long: it was still due when it ended."""
        held = None if self.finish_time is None else (self.finish_time - self.due_time).total_seconds()
        return self.state is State.FAILED and held is not None and held >= MOST_HELD


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that this process may attempt now, until `deadline`; later another one may."""

    id: UUID
    tenant_id: str
    webhook_id: UUID
    webhook_version: int  # at least this version's settings apply; 0: the webhook is deleted
    attempt: int  # number of the attempt to make
    claim_count: int  # fences: the outcome counts only while the row still has it
    trigger: Trigger
    event: Event
    deadline: float  # monotonic seconds


@dataclass(frozen=True, slots=True)
class Record:
    """The outcome of a claim's attempt and what follows from it, to be written."""

    claim: Claim
    outcome: Outcome
    conclusion: Conclusion
    url: str
    start_time: datetime
    latency: float  # seconds
    webhook_version: int = 0  # whose settings and keys the request was made with
    composer_id: int = 0  # which server's way of making it

    @property
    def queue_wait(self) -> float | None:
        """Seconds from the event's acceptance to a first attempt; None for later ones and replays."""
        if self.claim.attempt > 1 or self.claim.trigger is not Trigger.SCHEDULED:
            return None
        return max(0.0, self.start_time.timestamp() - ids.seconds_of(self.claim.event.id))


def cancelled(record: Record) -> Record:
    """A record whose retry will not be made, because the webhook was deleted during the attempt."""
    return replace(record, conclusion=Conclusion(State.CANCELLED))


def reduced(record: Record) -> Record:
    """What is left of a record that can't be stored: enough to end the delivery, which would be attempted for ever."""
    return replace(
        record,
        outcome=Outcome(result=Result.INTERNAL, error="the outcome could not be stored"),
        conclusion=Conclusion(State.FAILED, suspend=record.conclusion.suspend),
        latency=0.0,
    )
