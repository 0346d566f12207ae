"""Go's client and receiver: their own tests with the vectors, the READMEs' samples, fresh generated code."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from .toolchain import CLIENTS, ROOT, need, run, sample, scenario, servers

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
GO = CLIENTS / "go"


@pytest.fixture(autouse=True)
def toolchain() -> None:
    need("go")


async def test_the_receiver() -> None:
    await run("go", "vet", "./...", cwd=GO / "receiver")
    await run("go", "test", "-count=1", "./...", cwd=GO / "receiver")


async def test_the_client(database_url: str, tmp_path: Path) -> None:
    await run("go", "vet", "./...", cwd=GO)
    async with servers(database_url, tmp_path) as called:
        output = await run("go", "test", "-count=1", "-v", "./hookpost", cwd=GO, **called.environment)
        assert "SKIP" not in output
        called.check("hookpost-go/")


async def test_the_samples(database_url: str, tmp_path: Path) -> None:
    for name, readme in (("emit", GO / "README.md"), ("receive", GO / "receiver" / "README.md")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "main.go").write_text(sample(readme, "go"))
    path = "github.com/hookpost/hookpost/clients/go"
    shutil.copy(GO / "go.sum", tmp_path)
    await run("go", "mod", "init", "samples", cwd=tmp_path)
    for module, directory in ((path, GO), (f"{path}/receiver", GO / "receiver")):
        await run("go", "mod", "edit", f"-require={module}@v0.0.0", f"-replace={module}={directory}", cwd=tmp_path)
    await run("go", "build", "-mod=mod", "-o", "bin/", "./...", cwd=tmp_path)
    await scenario(database_url, (str(tmp_path / "bin" / "receive"),), (str(tmp_path / "bin" / "emit"),), tmp_path)


async def test_the_generated_code_is_fresh(tmp_path: Path) -> None:
    buf = Path(sys.executable).with_name("buf")
    await run(str(buf), "generate", "--output", str(tmp_path), cwd=ROOT)
    made, committed = (
        {path.name: path.read_bytes() for path in (root / "hookpostv1").iterdir()}
        for root in (tmp_path / "clients" / "go", GO)
    )
    differing = sorted(name for name in made.keys() | committed.keys() if made.get(name) != committed.get(name))
    assert not differing, "clients/go/hookpostv1 is not what the proto says; run `make proto`"
