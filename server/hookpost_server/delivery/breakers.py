"""The breakers of the webhooks that fail, in this process.

They are kept in memory: nodes need not agree, each stops by itself after a few failures. A webhook that does not fail
has none.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from ..domain import ids
from ..domain.breaker import Breaker, State
from ..domain.delivery import Record, Result

MOST = 10_000  # webhooks remembered; beyond it, those that nothing happened to for longest are forgotten

log = structlog.get_logger()


@dataclass(slots=True)
class _Entry:
    version: int  # of the webhook when it failed; a changed or enabled one starts anew
    breaker: Breaker = field(default_factory=Breaker)


class Breakers:
    """One for each webhook that fails. Knows nothing of deliveries."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        spread: Callable[[], float] = lambda: random.uniform(-1, 1),  # noqa: S311
    ) -> None:
        self._clock = clock
        self._spread = spread
        self._entries: dict[UUID, _Entry] = {}  # by the time of the last attempt
        self._held: dict[UUID, _Entry] = {}  # those of them that are not closed

    @property
    def counts(self) -> Mapping[State, int]:
        """How many are open and how many half open."""
        states = [entry.breaker.state for entry in self._held.values()]
        return {state: states.count(state) for state in (State.OPEN, State.HALF_OPEN)}

    def held(self) -> dict[UUID, tuple[int, int]]:
        """The webhooks held back: the version that failed, and how many attempts may begin all the same, 0 or 1."""
        now = self._clock()
        return {webhook_id: (entry.version, entry.breaker.room(now) or 0) for webhook_id, entry in self._held.items()}

    def held_for(self, webhook_id: UUID) -> float | None:
        """Seconds until the next probe may begin, 0 if it may or is under way; None if it is not held back."""
        entry = self._held.get(webhook_id)
        return None if entry is None else max(0.0, entry.breaker.until - self._clock())

    def lets(self, webhook_id: UUID) -> bool:
        """Whether an attempt may begin now."""
        entry = self._entries.get(webhook_id)
        return entry is None or entry.breaker.room(self._clock()) != 0

    def begin(self, webhook_id: UUID) -> int:
        """An attempt begins that it lets; returns what its end is to be told with."""
        entry = self._entries.get(webhook_id)
        return 0 if entry is None else entry.breaker.begin()

    def end(self, webhook_id: UUID, epoch: int, record: Record | None) -> bool:
        """That attempt has ended, without a record if it was not made after all. Returns whether it is held now."""
        known = self._entries.get(webhook_id)
        if known is None and record is not None and record.outcome.result is Result.SUCCEEDED:
            return False  # a new breaker would learn nothing from it
        entry = known or _Entry(0 if record is None else record.webhook_version)
        breaker, before = entry.breaker, entry.breaker.epoch
        breaker.end(epoch, None if record is None else record.outcome, self._clock(), self._spread())
        if breaker.epoch != before:
            pause = round(breaker.until - self._clock(), 1)
            log.warning("breaker.opened", webhook_id=ids.text(ids.WEBHOOK, webhook_id), pause=pause)
        elif webhook_id in self._held and breaker.state is State.CLOSED:
            log.info("breaker.closed", webhook_id=ids.text(ids.WEBHOOK, webhook_id))
        self._forget(webhook_id)
        if breaker.at_rest:
            return False
        self._entries[webhook_id] = entry  # the last, because something has just happened to it
        if len(self._entries) > MOST:
            self._forget(next(iter(self._entries)))
        if breaker.state is State.CLOSED:
            return False
        self._held[webhook_id] = entry
        return True

    def changed(self, webhook_id: UUID, version: int) -> None:
        """The webhook has this version now, 0 if it is deleted: what failed at an older one counts no more."""
        entry = self._entries.get(webhook_id)
        if entry is not None and (not version or entry.version < version):
            self._forget(webhook_id)

    def _forget(self, webhook_id: UUID) -> None:
        self._entries.pop(webhook_id, None)
        self._held.pop(webhook_id, None)
