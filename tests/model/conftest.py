"""The stage of the state machine: one database and one event loop for all its examples."""

import asyncio
from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.model.agreement", "tests.model.machine")

from .stage import Stage  # noqa: E402


@pytest.fixture
def stage(database_url: str) -> Iterator[Stage]:
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        stage = runner.run(Stage.open(runner, database_url))
        yield stage
        runner.run(stage.close())
