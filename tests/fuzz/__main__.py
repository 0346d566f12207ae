"""`python -m tests.fuzz [TARGET …] [--seconds 60]`: feeds each target for so long; ends with 1 at the first finding."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest

from .budget import Budget


class Plugin:
    """Registers the budget before the tests ask for it."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def pytest_configure(self, config: pytest.Config) -> None:
        config.pluginmanager.register(self._budget, Budget.NAME)


parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
parser.add_argument("target", nargs="*", help="only these (see tests/fuzz/targets.py, and wire)")
parser.add_argument("--seconds", type=float, default=60, help="for each target")
given = parser.parse_args()
chosen = ["-k", " or ".join(given.target)] if given.target else []
folder = str(Path(__file__).parent)
sys.exit(
    pytest.main(
        [folder, "-v", "--no-header", "-o", "timeout=0", "--durations=0", *chosen],
        plugins=[Plugin(Budget(given.seconds))],
    )
)
