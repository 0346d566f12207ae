"""The dispatcher's alarm, on the loops that a server may run on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from hookpost_server.delivery.alarm import Alarm

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
LONG = 3600.0  # seconds


@pytest.mark.parametrize("loop", LOOPS)
def test_what_is_due_at_once_and_again(loop: str) -> None:
    """As by a webhook whose retries follow without a delay."""

    async def ring() -> None:
        alarm = Alarm()
        for delay in (0.0, 0.0, LONG, 0.0001, 0.01, LONG):
            alarm.ring_in(delay)
        async with asyncio.timeout(10):
            await alarm.sleep(LONG)

    run(loop, ring)


@pytest.mark.parametrize("loop", LOOPS)
def test_the_sooner_one_counts(loop: str) -> None:
    async def ring() -> None:
        for delays in ((LONG, 0.01), (0.01, LONG)):
            alarm = Alarm()
            for delay in delays:
                alarm.ring_in(delay)
            async with asyncio.timeout(10):
                await alarm.sleep(LONG)

    run(loop, ring)


def run(loop: str, main: Callable[[], object]) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())  # type: ignore[arg-type]
