"""How hypothesis runs here: no deadline (machines differ), no files. And commands run within the process."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("unit", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unit")

Run = Callable[..., int]


@pytest.fixture
def hookpost(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command; answers its exit code."""
    from hookpost_server.cli import main as command_line

    def run(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["hookpost", *arguments])
        with pytest.raises(SystemExit) as exit_:
            command_line.main()
        assert isinstance(exit_.value.code, int)
        return exit_.value.code

    return run
