"""What a claim shall take, and where the next one goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

TURNS = 50  # webhooks that one claim looks at
_FIRST, _LAST = UUID(int=0), UUID(int=2**128 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How many deliveries a claim shall take, at most, and whose."""

    room: int
    room_each: int  # of one webhook
    room_tenant: int | None = None  # of one tenant; None: no bound of its own
    full: Sequence[UUID] = ()  # webhooks to pass over
    full_tenants: Sequence[str] = ()  # tenants to pass over
    held: Mapping[UUID, tuple[int, int]] = field(default_factory=dict)  # webhook: (up to this version, its room)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Claims go on after this webhook; and at tenants that had their share early, after that one of theirs."""

    tenant_id: str = ""
    webhook_id: UUID = _FIRST
    rest: Mapping[str, UUID] = field(default_factory=dict)  # left early in the round before
    left: Mapping[str, UUID] = field(default_factory=dict)  # left early in this round

    @property
    def round_complete(self) -> bool:
        return self.tenant_id == ""

    def following(self, rows: Sequence[Mapping[str, Any]], room: int) -> Cursor:
        """Where to go on after a claim with this room, whose rows tell the webhooks that it looked at."""
        turns = {row["number"]: row for row in rows}
        left = dict(self.left)
        for turn in turns.values():
            if turn["full_tenant"]:
                if turn["tenant_id"] in self.rest:
                    left.setdefault(turn["tenant_id"], self.rest[turn["tenant_id"]])
            elif turn["left_early"]:
                left[turn["tenant_id"]] = turn["webhook_id"]
        last = turns[max(turns)] if turns else None
        if last is None or (len(turns) < TURNS and last["total"] < room):
            return Cursor(rest=left)
        return Cursor(last["tenant_id"], _LAST if last["left_early"] else last["webhook_id"], self.rest, left)


START = Cursor()
