"""The promise and what is made of it: generated code is fresh, the proto is in style, no change breaks a caller."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMITTED = ROOT / "clients" / "python" / "hookpost" / "v1"
GENERATE = [sys.executable, str(ROOT / "proto" / "generate.py")]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def buf(*arguments: str) -> subprocess.CompletedProcess[str]:
    tool = Path(sys.executable).with_name("buf")
    if not tool.exists():
        pytest.skip("buf is not installed here (the package buf-bin)")
    return run(str(tool), *arguments)


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.glob("*.py*")}


def test_the_generated_code_is_fresh(tmp_path: Path) -> None:
    done = run(*GENERATE, str(tmp_path))
    assert done.returncode == 0, done.stderr
    made, committed = contents(tmp_path / "hookpost" / "v1"), contents(COMMITTED)
    differing = sorted(name for name in made.keys() | committed.keys() if made.get(name) != committed.get(name))
    assert not differing, "clients/python/hookpost/v1 is not what the proto says; run `make proto`"


def test_generating_deletes_what_is_stale_and_nothing_else(tmp_path: Path) -> None:
    package = tmp_path / "hookpost" / "v1"
    package.mkdir(parents=True)
    for name in ("gone_pb2.py", "gone_pb2_grpc.pyi", "by_hand.py"):
        (package / name).write_text("")
    assert run(*GENERATE, str(tmp_path)).returncode == 0
    assert contents(package).keys() - contents(COMMITTED).keys() == {"by_hand.py"}


def test_generating_fails_on_a_broken_proto(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    (tmp_path / "proto" / "hookpost" / "v1" / "event.proto").write_text("syntax = 'proto3'; message {")
    done = run(sys.executable, str(tmp_path / "proto" / "generate.py"), str(tmp_path / "out"))
    assert done.returncode != 0
    assert "event.proto" in done.stderr


def test_the_proto_is_in_style() -> None:
    done = buf("lint")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_proto_is_formatted() -> None:
    done = buf("format", "--diff", "--exit-code")
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_change_breaks_a_caller(tmp_path: Path) -> None:
    """Against the main branch, from its history, where there is one (a shallow clone of another branch has none)."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed here")
    for branch in ("origin/main", "main"):
        archived = subprocess.run(
            ["git", "archive", branch, "--", "proto"], cwd=ROOT, capture_output=True, timeout=60, check=False
        )
        if archived.returncode == 0:
            break
    else:
        pytest.skip("the main branch's proto is not at hand here")
    subprocess.run(["tar", "-x", "-C", str(tmp_path)], input=archived.stdout, timeout=60, check=True)
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    done = buf("breaking", "--against", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
