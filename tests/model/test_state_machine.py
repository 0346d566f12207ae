"""Webhooks, emits, attempts, replays and crashes in any order: after every step the database holds what a dict says.

The verbs are the stores' own, on a real PostgreSQL; what follows from an outcome is the real `conclude`. The model
(`expected.py`) knows nothing of either. Time passes by SQL: rows come due, leases lapse, keys expire.

`make test-long` runs 100 examples of 30 steps. For more, name examples and steps: `HOOKPOST_MODEL=2000x60`. A failure
prints its steps as a program; `--hypothesis-seed`, which pytest names beside it, makes them again.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from .machine import Machine
from .stage import Stage

EXAMPLES, STEPS = map(int, os.environ.get("HOOKPOST_MODEL", "100x30").split("x"))


@pytest.mark.long
@pytest.mark.timeout(max(120, EXAMPLES * STEPS))
def test_the_database_is_as_the_model(stage: Stage) -> None:
    run_state_machine_as_test(
        lambda: Machine(stage),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
