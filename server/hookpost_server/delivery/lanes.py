"""All lanes of the process, and how much waits in them."""

from __future__ import annotations

from uuid import UUID

from ..domain.delivery import Claim
from .breakers import Breakers
from .lane import Lane
from .turns import Turns


class Lanes:
    """By webhook. Keeps count of what waits, in all and of each tenant."""

    def __init__(self, breakers: Breakers, slots: int, *, horizon: float) -> None:
        """`horizon`: seconds within which what waits must begin."""
        self._breakers = breakers
        self._horizon = horizon
        self._lanes: dict[UUID, Lane] = {}
        self.turns = Turns(slots)
        self.waiting = 0  # claims
        self.waiting_bytes = 0  # of their payloads

    def __len__(self) -> int:
        return len(self._lanes)

    def put(self, claim: Claim) -> Lane:
        """The claim waits now in this lane."""
        lane = self._lanes.get(claim.webhook_id)
        if lane is None:
            lane = self._lanes[claim.webhook_id] = Lane(claim.tenant_id, claim.webhook_id)
        lane.waiting.append(claim)
        self.turns.tenant(lane.tenant_id).waiting += 1
        self.waiting += 1
        self.waiting_bytes += len(claim.event.payload)
        return lane

    def take(self, lane: Lane) -> Claim:
        """The lane's first claim; it waits no more."""
        return self._taken(lane, lane.waiting.popleft())

    def emptied(self, lane: Lane) -> list[Claim]:
        """All that waited in the lane."""
        return [self._taken(lane, lane.waiting.pop()) for _ in range(len(lane.waiting))]

    def unmoved(self) -> list[Lane]:
        """Lanes that wait and have started nothing since the last time."""
        unmoved = [lane for lane in self._lanes.values() if lane.waiting and not lane.started]
        for lane in self._lanes.values():
            lane.started = False
        return unmoved

    def full(self) -> list[UUID]:
        """Webhooks that hold all they can attempt within the horizon."""
        return [
            lane.webhook_id
            for lane in self._lanes.values()
            if lane.held >= lane.limit and lane.held >= lane.capacity(self._horizon)
        ]

    def overflow(self, tolerance: int) -> list[Claim]:
        """Takes, newest first, what lanes hold beyond what they can attempt within the horizon and `tolerance`."""
        over = []
        for lane in self._lanes.values():
            if lane.held <= lane.limit:
                continue
            most = lane.capacity(self._horizon) + tolerance
            while lane.held > most and lane.waiting:
                over.append(self._taken(lane, lane.waiting.pop()))
        return over

    def withheld(self) -> list[Lane]:
        """Lanes that wait for a webhook of which no attempt may begin now."""
        held = self._breakers.held()
        lanes = [self._lanes.get(webhook_id) for webhook_id, (_, room) in held.items() if not room]
        return [lane for lane in lanes if lane is not None and lane.waiting]

    def held(self) -> dict[UUID, tuple[int, int]]:
        """Webhooks that a breaker holds, up to which version, and how many claims each may get all the same."""
        return {
            webhook_id: (version, 0 if (lane := self._lanes.get(webhook_id)) and lane.waiting else room)
            for webhook_id, (version, room) in self._breakers.held().items()
        }

    def drop(self, lane: Lane) -> None:
        """Forgets a lane that has nothing to do, unless another has taken its place."""
        if self._lanes.get(lane.webhook_id) is lane:
            del self._lanes[lane.webhook_id]

    def clear(self) -> list[Claim]:
        """Takes all that waits, and forgets the lanes."""
        waiting = [claim for lane in self._lanes.values() for claim in self.emptied(lane)]
        self._lanes.clear()
        self.turns.clear()
        return waiting

    def _taken(self, lane: Lane, claim: Claim) -> Claim:
        self.turns.tenant(lane.tenant_id).waiting -= 1
        self.waiting -= 1
        self.waiting_bytes -= len(claim.event.payload)
        return claim
