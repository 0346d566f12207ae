"""For how long targets are fed. Apart from `running`, because it is wanted before pytest has loaded its plugins."""

from __future__ import annotations

from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Budget:
    """A plugin that says for how long each target is fed. Without it, FEW values."""

    seconds: float
    NAME = "hookpost-fuzz-budget"

    @classmethod
    def of(cls, config: pytest.Config) -> Budget:
        return config.pluginmanager.get_plugin(cls.NAME) or cls(0)  # type: ignore[no-any-return]
