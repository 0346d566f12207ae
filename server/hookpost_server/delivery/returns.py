"""Claims on their way back to the queue."""

from __future__ import annotations

from collections.abc import Sequence

from ..domain.delivery import Claim
from .courier import STEP, Courier


class Returns:
    """Gives claims back one statement at a time: many webhooks may go down at once, and emits need connections too."""

    def __init__(self, courier: Courier) -> None:
        self._courier = courier
        self._claims: list[Claim] = []

    def add(self, claims: Sequence[Claim]) -> bool:
        """Whether `run` is to be started: it is not at work, and has some now."""
        idle = not self._claims
        self._claims += claims
        return idle and bool(claims)

    async def run(self) -> None:
        """Until none are left, those that are added meanwhile included."""
        while claims := self._claims[:STEP]:
            await self._courier.give_back(claims)
            del self._claims[: len(claims)]
