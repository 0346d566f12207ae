"""How fast attempts may begin."""

from __future__ import annotations

import asyncio

from hookpost_server.delivery.pace import BURST, Pace


class Starts:
    """Begins attempts as the dispatcher does: as many as it may, and again when it is told."""

    def __init__(self, wanted: int) -> None:
        self.left = wanted
        self.done = asyncio.Event()
        self.full = False
        self.pace = Pace(lambda: self.full, self.start)

    def start(self) -> None:
        while self.left and not self.pace.holds():
            self.pace.begin()
            self.left -= 1
        if not self.left:
            self.done.set()


async def test_a_burst_is_spread_over_passes_of_the_loop() -> None:
    starts = Starts(3 * BURST + 1)
    starts.start()
    left = [starts.left]
    starts.start()  # an attempt that ends in the same pass asks again
    for _ in range(3):
        await asyncio.sleep(0)
        left.append(starts.left)
    assert left == [2 * BURST + 1, BURST + 1, 1, 0]


async def test_passes_with_few_starts_hold_nothing_back() -> None:
    starts = Starts(0)
    for _ in range(2 * BURST):
        starts.left = 1
        starts.start()
        assert not starts.left
        await asyncio.sleep(0)


async def test_starts_wait_for_outcomes_to_be_written_and_go_on_by_themselves() -> None:
    starts = Starts(BURST + 1)
    starts.full = True
    starts.start()
    starts.start()
    assert starts.left == BURST + 1
    starts.full = False
    async with asyncio.timeout(10):
        await starts.done.wait()
