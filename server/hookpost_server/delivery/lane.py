"""A webhook's own queue within this process: its claims that wait, and its limits."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from uuid import UUID

from ..domain.delivery import Claim
from ..domain.webhook import DEFAULT_IN_FLIGHT, Settings

FIRST_GUESS = 0.1  # seconds that an attempt is thought to take before one has ended
MOST_WAITING = 5_000  # claims of one webhook in memory, however fast it is


@dataclass(frozen=True, slots=True)
class Load:
    """What a dispatcher holds in memory."""

    waiting: int  # claims whose attempt has not begun
    waiting_bytes: int  # of their payloads
    lanes: int  # webhooks with work


class Lane:
    """Claims of one webhook that wait for a slot. In flight at once: the webhook's own limit, in this process."""

    __slots__ = (
        "configured",
        "in_flight",
        "interval",
        "limit",
        "mean",
        "next_start",
        "ready",
        "started",
        "tenant_id",
        "waiting",
        "webhook_id",
    )

    def __init__(self, tenant_id: str, webhook_id: UUID) -> None:
        self.tenant_id = tenant_id
        self.webhook_id = webhook_id
        self.waiting: deque[Claim] = deque()
        self.in_flight = 0
        self.ready = False  # in the dispatcher's turn, or held back by the rate limit until it may be
        self.started = True  # an attempt, which looks at the webhook, since the dispatcher last looked
        self.configured = False  # whether the webhook's limits are known; until then one attempt at a time
        self.limit = DEFAULT_IN_FLIGHT
        self.interval = 0.0  # seconds between two starts; 0: as they come
        self.next_start = 0.0  # monotonic
        self.mean = FIRST_GUESS  # seconds an attempt takes, moving mean

    def configure(self, settings: Settings) -> None:
        """Takes over the webhook's limits as they are now."""
        self.limit = settings.max_in_flight
        self.interval = 1 / settings.rate_limit if settings.rate_limit else 0.0
        if not self.configured:
            self.next_start += self.interval  # after the one that was started without knowing
            self.configured = True

    def learn(self, latency: float) -> None:
        """Adjusts the expected duration of an attempt."""
        self.mean += (max(latency, 0.001) - self.mean) / 8

    def capacity(self, horizon: float) -> int:
        """How many claims it can hold and still attempt all within `horizon` seconds."""
        each = self.limit / self.mean
        if self.interval:
            each = min(each, 1 / self.interval)
        return max(self.limit, min(MOST_WAITING, int(each * horizon)))

    @property
    def startable(self) -> bool:
        return bool(self.waiting) and self.in_flight < (self.limit if self.configured else 1)

    @property
    def held(self) -> int:
        return len(self.waiting) + self.in_flight

    @property
    def idle(self) -> bool:
        return not self.waiting and not self.in_flight
