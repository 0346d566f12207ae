"""A breaker: stops calling a webhook that is down, and lets it recover slowly.

                10 failures in a row
        CLOSED ─────────────────────▶ OPEN ◀──────────┐
          ▲                            │ pause over   │ the probe failed: a longer pause
          │ the probe succeeded        ▼              │
          └─────────────────────── HALF_OPEN ─────────┘

Closed again, it lets one attempt at a time through, and with each success twice as many, until only the webhook's own
limit is left; a failure on the way opens it again.
"""

from __future__ import annotations

import enum

from .delivery import OBEYED_RETRY_AFTER, Outcome, Result, is_retried

THRESHOLD = 10  # failures in a row that open it
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0  # seconds; each pause is twice the one before
JITTER = 0.2  # of a pause
LONGEST_RETRY_AFTER = 3600.0  # seconds that a receiver can make a pause last
MOST_IN_FLIGHT = 1024  # beyond what any webhook may have in flight; slow start ends there


class State(enum.Enum):
    """What a breaker lets through: all, nothing, or one probe that is under way."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


def is_down(outcome: Outcome) -> bool | None:
    """Whether an outcome says that the receiver is down or overloaded; None when it says nothing about it.

    Down is what is worth a retry: no answer, ≥ 500, 408, 425, 429. Whoever answers 404 is up.
    """
    if outcome.result is Result.INTERNAL:
        return None
    return is_retried(outcome)


class Breaker:
    """Of one webhook. Times are seconds of a clock that never goes back.

    An attempt begun before the breaker last opened says nothing new: it is told by its `epoch`.
    """

    __slots__ = ("allowed", "epoch", "failures", "next_pause", "state", "under_way", "until")

    def __init__(self) -> None:
        self.state = State.CLOSED
        self.epoch = 0
        self.failures = 0  # in a row
        self.until = 0.0  # when the next probe may begin
        self.next_pause = FIRST_PAUSE
        self.allowed: int | None = None  # attempts under way at once while it recovers; None: no bound of its own
        self.under_way = 0  # of this epoch

    @property
    def at_rest(self) -> bool:
        """Whether it knows nothing that a new one would not."""
        return self.state is State.CLOSED and not self.failures and self.allowed is None

    def room(self, now: float) -> int | None:
        """How many more attempts may begin; None when the breaker sets no bound."""
        match self.state:
            case State.CLOSED:
                return None if self.allowed is None else max(0, self.allowed - self.under_way)
            case State.OPEN:
                return 1 if now >= self.until else 0
            case State.HALF_OPEN:
                return 0

    def begin(self) -> int:
        """An attempt begins, for which there is room; returns its epoch. The first after a pause is the probe."""
        if self.state is State.OPEN:
            self.state = State.HALF_OPEN
        self.under_way += 1
        return self.epoch

    def end(self, epoch: int, outcome: Outcome | None, now: float, spread: float) -> None:
        """That attempt has ended, with None if no request was made. `spread` is the chance for jitter, -1 to 1."""
        if epoch != self.epoch:
            return
        self.under_way = max(0, self.under_way - 1)  # it may have begun before there was a breaker
        if outcome is None or (down := is_down(outcome)) is None:
            if self.state is State.HALF_OPEN:
                self.state = State.OPEN  # the probe told nothing: another one may begin
        elif not down:
            self._succeeded()
        else:
            self.failures += 1
            if self.state is State.HALF_OPEN or self.allowed is not None or self.failures >= THRESHOLD:
                self._open(now, spread, outcome)

    def _succeeded(self) -> None:
        self.failures = 0
        if self.state is State.HALF_OPEN:
            self.state = State.CLOSED
            self.allowed = 1
            self.next_pause = FIRST_PAUSE
        elif self.allowed is not None:
            self.allowed = self.allowed * 2 if self.allowed < MOST_IN_FLIGHT else None

    def _open(self, now: float, spread: float, outcome: Outcome) -> None:
        pause = self.next_pause * (1 + JITTER * spread)
        if outcome.status in OBEYED_RETRY_AFTER and outcome.retry_after is not None:
            pause = max(pause, min(outcome.retry_after, LONGEST_RETRY_AFTER))
        self.state = State.OPEN
        self.until = now + pause
        self.next_pause = min(self.next_pause * 2, LONGEST_PAUSE)
        self.allowed = None
        self.epoch += 1
        self.under_way = 0
