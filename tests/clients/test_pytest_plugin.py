"""The pytest plugin, as somebody's test suite uses it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = """
import os
import pytest
from hookpost import Client


def test_what_is_emitted_is_delivered(hookpost):
    assert os.environ["HOOKPOST_ADDRESS"] == hookpost.address
    with Client() as client:
        client.emit("Order.Created", {"id": 7, "title": "book"})
        client.emit("Order.Created", {"id": 8, "title": "pen"})
    event = hookpost.assert_delivered("Order.Created", {"id": 8})
    assert event.data == {"id": 8, "title": "pen"}
    hookpost.assert_not_delivered("Order.Deleted")


def test_each_test_starts_with_nothing(hookpost):
    assert hookpost.delivered == []
    hookpost.client.emit("Order.Deleted", {"id": 7})
    hookpost.assert_delivered("Order.Deleted")
    with pytest.raises(AssertionError, match="Order.Deleted was delivered"):
        hookpost.assert_not_delivered("Order.Deleted", {"id": 7})


def test_what_does_not_come(hookpost):
    hookpost.client.emit("Order.Created", {"id": 9})
    hookpost.assert_delivered("Order.Created", {"id": 9})
    with pytest.raises(AssertionError, match="no Order.Created with .*within 0.1 s.*\\n.*'id': 9"):
        hookpost.assert_delivered("Order.Created", {"id": 10}, timeout=0.1)
"""


REFUSED = """
import pytest


@pytest.fixture
def hookpost_tenant():
    return "no tenant's name"


def test_nothing(hookpost):
    pass
"""


@pytest.mark.system
def test_a_suite(tmp_path: Path) -> None:
    (tmp_path / "test_shop.py").write_text(SUITE)
    (tmp_path / "test_tenant.py").write_text(REFUSED)
    with socket.socket() as console:
        with contextlib.suppress(OSError):  # taken: all the better
            console.bind(("127.0.0.1", 8080))
            console.listen()
        ran = suite(tmp_path)
    assert "3 passed, 1 error" in ran.stdout, ran.stdout + ran.stderr


def suite(tmp_path: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HOOKPOST_", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(tmp_path)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
