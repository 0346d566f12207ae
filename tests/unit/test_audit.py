"""`make audit`: a mendable advisory stops, an unreachable service is told and does not."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parents[2] / "server" / "audit.py"


@pytest.fixture
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", FILE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def package(*advisories: dict[str, object]) -> dict[str, object]:
    return {"name": "aiohttp", "version": "3.14.0", "vulns": list(advisories)}


def test_advisories(audit: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.report([package(), {"name": "skipped", "skip_reason": "no"}]) == 0
    assert audit.report([package({"id": "CVE-1", "fix_versions": []})]) == 0
    assert "CVE-1, fixed in no version yet" in capsys.readouterr().out
    assert audit.report([package({"id": "CVE-2", "fix_versions": ["3.14.1"]})]) == 1
    assert "aiohttp 3.14.0: CVE-2, fixed in 3.14.1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("script", "code", "says"),
    [
        ("import sys; print('connection refused', file=sys.stderr); sys.exit(1)", 0, "SKIPPED, the advisories could"),
        (f"print({json.dumps(json.dumps({'dependencies': [package()]}))})", 0, "1 packages compared"),
        (
            f"print({json.dumps(json.dumps({'dependencies': [package({'id': 'X', 'fix_versions': ['9']})]}))})",
            1,
            "fixed in 9",
        ),
    ],
)
def test_what_the_tool_says(
    audit: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    script: str,
    code: int,
    says: str,
) -> None:
    """With another program in the tool's place."""
    tool = tmp_path / "python"
    tool.write_text(f"#!/usr/bin/env python3\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setattr(audit.sys, "executable", str(tool))
    assert audit.main() == code
    assert says in capsys.readouterr().out
