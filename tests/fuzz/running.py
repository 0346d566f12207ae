"""How long a target is fed: a few values by default, always the same; for some seconds with `make fuzz`."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
from hypothesis import HealthCheck
from hypothesis import strategies as st

from .budget import Budget

HANG = 1.0  # seconds of CPU that one value may take, however busy the machine is
FEW = 60  # values, by default
ROUND = 500  # values between two looks at the clock


def feed(budget: Budget, inputs: st.SearchStrategy[Any], run: Callable[[Any], None]) -> None:
    """Raises the first finding, made as small as it gets."""
    end = time.monotonic() + budget.seconds
    seed = random.SystemRandom()
    while True:
        settings = hypothesis.settings(
            max_examples=ROUND if budget.seconds else FEW,
            derandomize=not budget.seconds,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )

        def one(value: Any) -> None:
            with no_hang():
                run(value)

        fed = settings(hypothesis.given(inputs)(one))
        if budget.seconds:
            fed = hypothesis.seed(seed.getrandbits(64))(fed)
        fed()
        if time.monotonic() >= end:
            return


@contextlib.contextmanager
def no_hang() -> Iterator[None]:
    """Ends what takes longer than HANG, wherever it is in Python."""

    def stop(signum: int, frame: object) -> None:
        raise AssertionError(f"takes longer than {HANG:g} s")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, HANG)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
