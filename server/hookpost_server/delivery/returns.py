"""Claims on their way back to the queue."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ..domain.delivery import Claim
from .courier import STEP, Courier


class Returns:
    """Gives claims back one statement at a time: many webhooks may go down at once, and emits need connections too."""

    def __init__(self, courier: Courier) -> None:
        self._courier = courier
        self._claims: list[Claim] = []

    def add(self, claims: Sequence[Claim], tasks: asyncio.TaskGroup) -> None:
        """Returns at once; `tasks` gets the task that gives them back, unless one is at it."""
        if claims and not self._claims:
            tasks.create_task(self._give_back())
        self._claims += claims

    async def _give_back(self) -> None:
        while claims := self._claims[:STEP]:
            await self._courier.give_back(claims)
            del self._claims[: len(claims)]
