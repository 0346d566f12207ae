"""Failpoints: read as said, refused by name, each in exactly the places it is listed for, and silent unless armed."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from hookpost_server import failpoints
from hookpost_server.config import Config, ConfigError
from hookpost_server.failpoints import POINTS, Failpoint

SERVER = Path(failpoints.__file__).parent


@pytest.mark.parametrize(
    ("text", "failpoint"),
    [
        ("record.committed:kill", Failpoint("record.committed", signal.SIGKILL, 0, 1)),
        ("emit.unsent:stop@12", Failpoint("emit.unsent", signal.SIGSTOP, 0, 12)),
        ("emit.unsent:sleep(250)@2", Failpoint("emit.unsent", None, 0.25, 2)),
    ],
)
def test_what_can_be_asked_for(text: str, failpoint: Failpoint) -> None:
    assert Config.from_env({"HOOKPOST_FAILPOINT": text}).failpoint == failpoint
    assert Failpoint.parse(str(failpoint)) == failpoint


@pytest.mark.parametrize(
    "text", ["record:kill", "record.committed", "record.committed:die", "emit.unsent:kill@0", "emit.unsent:sleep(-1)"]
)
def test_a_mistake_is_told_with_the_places_there_are(text: str) -> None:
    with pytest.raises(ConfigError, match=r"HOOKPOST_FAILPOINT=.*emit\.unsent, .*drain\.begun"):
        Config.from_env({"HOOKPOST_FAILPOINT": text})


def test_each_place_is_marked_once() -> None:
    marked = Counter(
        point for path in SERVER.rglob("*.py") for point in re.findall(r'failpoints\.hit\("(.+?)"\)', path.read_text())
    )
    assert marked == dict.fromkeys(POINTS, 1)


SCRIPT = """
from hookpost_server import failpoints

failpoints.hit("emit.unsent")
failpoints.arm(failpoints.Failpoint.parse("emit.unsent:kill@2"))
failpoints.hit("emit.unsent")
failpoints.hit("emit.committed")
failpoints.hit("emit.committed")
print("alive", flush=True)
failpoints.hit("emit.unsent")
print("not reached", flush=True)
"""


def test_it_happens_at_its_place_and_turn_only() -> None:
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "alive\n")
