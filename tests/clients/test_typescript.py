"""TypeScript's client and receiver: their own tests with the vectors, the READMEs' samples as installed packages."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from .toolchain import CLIENTS, ROOT, need, run, sample, scenario, servers

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
TYPESCRIPT = CLIENTS / "typescript"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built copy of the workspace, at its place below a copy of what it is built from."""
    need("node", "npm")
    root = tmp_path_factory.mktemp("typescript")
    skip = shutil.ignore_patterns("node_modules", "dist", "generated")
    workspace = Path(shutil.copytree(TYPESCRIPT, root / "clients" / "typescript", ignore=skip))
    shutil.copytree(CLIENTS / "conformance", root / "clients" / "conformance")
    shutil.copytree(ROOT / "proto", root / "proto", ignore=shutil.ignore_patterns("__pycache__"))
    asyncio.run(run("npm", "ci", "--no-audit", "--no-fund", cwd=workspace, seconds=600))
    asyncio.run(run("npm", "run", "build", cwd=workspace))
    return workspace


async def test_the_receiver(packages: Path) -> None:
    await run("npm", "test", "-w", "@hookpost/receiver", cwd=packages)


async def test_the_client(packages: Path, database_url: str, tmp_path: Path) -> None:
    async with servers(database_url, tmp_path) as called:
        output = await run("npm", "test", "-w", "@hookpost/client", cwd=packages, **called.environment)
        assert "# skipped 0" in output
        called.check("hookpost-typescript/")


async def test_the_samples(packages: Path, database_url: str, tmp_path: Path) -> None:
    """From the packages as they would be published; the compiler agrees with the types that they promise."""
    for name in ("client", "receiver"):
        await run("npm", "pack", "-w", f"@hookpost/{name}", "--pack-destination", str(tmp_path), cwd=packages)
        text = sample(TYPESCRIPT / "packages" / name / "README.md", "ts")
        (tmp_path / f"{name}.ts").write_text(text)
    (tmp_path / "package.json").write_text(json.dumps({"type": "module"}))
    archives = [str(path) for path in tmp_path.glob("*.tgz")]
    await run("npm", "install", "--no-audit", "--no-fund", *archives, "@types/node@20", cwd=tmp_path)
    tsc = str(packages / "node_modules" / ".bin" / "tsc")
    options = ("--module", "nodenext", "--target", "es2022", "--strict", "--types", "node")
    await run(tsc, *options, "client.ts", "receiver.ts", cwd=tmp_path)
    await scenario(database_url, ("node", "receiver.js"), ("node", "client.js"), tmp_path)


def test_the_lock_names_no_registry() -> None:
    lock = json.loads((TYPESCRIPT / "package-lock.json").read_text())
    assert not [name for name, each in lock["packages"].items() if each.get("resolved", "").startswith("http")]
