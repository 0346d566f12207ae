"""Runs a command's asynchronous part: the event loop, and what Ctrl-C means."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from hookpost_server.cli.output import say

R = TypeVar("R")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
COLLECT_AFTER = 5000  # objects more than before; Python's own 700 are a few dozen calls' own


def run(main: Callable[[asyncio.Event], Coroutine[Any, Any, R]]) -> R:
    """Runs `main(stop)`. The first SIGINT, SIGTERM or, when its terminal is closed, SIGHUP sets `stop`; a second
    one exits at once.

    Exiting at once loses nothing: what was acknowledged is on disk, and an embedded PostgreSQL notices by itself
    that its parent is gone.
    """

    async def with_signals() -> R:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def on_signal(number: int) -> None:
            if stop.is_set():
                os._exit(128 + number)
            stop.set()
            say("Stopping… (once more to stop at once)")

        outlives_terminal = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # nohup
        heeded = _SIGNALS if outlives_terminal else (*_SIGNALS, signal.SIGHUP)
        for number in heeded:
            loop.add_signal_handler(number, on_signal, number)
        try:
            return await main(stop)
        finally:
            for number in heeded:
                loop.remove_signal_handler(number)

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(with_signals())


def once_closed(pipe: int, call: Callable[[], None]) -> None:
    """Calls, once, when the other end of a pipe is closed that nobody writes to."""
    loop = asyncio.get_running_loop()

    def closed() -> None:
        loop.remove_reader(pipe)  # else its end is told in every pass of the loop, for as long as that runs
        call()

    loop.add_reader(pipe, closed)


def settle() -> None:
    """Tells Python's garbage collector that the start is over: what lives now lives as long as the process.

    Else each full collection goes through the start's 70,000 objects, and the calls under way wait 30 ms for it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # there is none for this platform
        return None
    return uvloop.new_event_loop
