"""What a server's process does once it has started, what ends it, and when its supervisor has died."""

import asyncio
import gc
import os
import signal
import weakref
from collections.abc import Iterator

import pytest

from hookpost_server.cli.running import COLLECT_AFTER, once_closed, run, settle


class Ring:
    """Refers to itself: only the garbage collector can remove it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_the_collector_goes_through_what_came_after_the_start_only() -> None:
    started = Ring()

    settle()

    assert gc.get_freeze_count() > 0
    assert not any(each is started for each in gc.get_objects())
    assert gc.get_threshold()[0] == COLLECT_AFTER


def test_what_the_start_left_behind_is_removed_and_what_comes_after_it_too() -> None:
    left, rings = weakref.ref(Ring()), []

    settle()
    assert left() is None

    while (not rings or rings[0]() is not None) and len(rings) < 10 * COLLECT_AFTER:
        rings.append(weakref.ref(Ring()))
    assert rings[0]() is None


async def test_the_end_of_a_pipe_is_told_once() -> None:
    """The process then has attempts to end, and its loop nothing to do but that."""
    here, there = os.pipe()
    told, first = 0, asyncio.Event()

    def tell() -> None:
        nonlocal told
        told += 1
        first.set()

    once_closed(here, tell)
    for _ in range(10):
        await asyncio.sleep(0)
    assert not told
    os.close(there)
    async with asyncio.timeout(10):
        await first.wait()
    for _ in range(100):
        await asyncio.sleep(0)
    assert told == 1
    os.close(here)


@pytest.fixture
def hangup() -> Iterator[signal.Signals]:
    before = signal.getsignal(signal.SIGHUP)
    yield signal.SIGHUP
    signal.signal(signal.SIGHUP, before)


def test_the_end_of_its_terminal_ends_it_in_order(hangup: signal.Signals) -> None:
    async def main(stop: asyncio.Event) -> bool:
        os.kill(os.getpid(), hangup)
        return await asyncio.wait_for(stop.wait(), 5)

    signal.signal(hangup, signal.default_int_handler)  # so that it fails, not ends, where nothing heeds it
    assert run(main)


def test_what_was_begun_with_nohup_outlives_its_terminal(hangup: signal.Signals) -> None:
    async def main(stop: asyncio.Event) -> bool:
        os.kill(os.getpid(), hangup)
        return signal.getsignal(hangup) is signal.SIG_IGN

    signal.signal(hangup, signal.SIG_IGN)
    assert run(main)
