"""The short selection: what `make faults` does at length. See README.md."""

from __future__ import annotations

import pytest

from .every import EXPERIMENTS
from .experiment import Experiment, NotHere

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(600)]


@pytest.mark.parametrize("experiment", [each for each in EXPERIMENTS if each.quick], ids=lambda each: each.name)
async def test_nothing_is_lost(experiment: Experiment, database_url: str) -> None:
    try:
        finding = await experiment.perform(database_url, experiment.quick)
    except NotHere as reason:
        pytest.skip(str(reason))
    assert finding.broken == []
