"""Every target with a few values; `make fuzz` feeds each for a minute."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from .budget import Budget
from .running import feed
from .targets import TARGETS, Target


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_target(request: pytest.FixtureRequest, target: Target) -> None:
    feed(Budget.of(request.config), target.inputs, target.run)


def test_a_crash_is_a_finding() -> None:
    def crash(text: str) -> None:
        if "x" in text:
            raise KeyError(text)

    with pytest.raises(KeyError):
        feed(Budget(0), st.text("xyz", min_size=3), crash)


def test_a_hang_is_a_finding() -> None:
    def hang(number: int) -> None:
        while True:
            pass

    with pytest.raises(AssertionError, match="takes longer than 1 s"):
        feed(Budget(0), st.just(1), hang)
