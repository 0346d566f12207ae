"""Java's client and receiver: their own tests with the vectors, the READMEs' samples with the jars."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from .toolchain import CLIENTS, ROOT, need, run, sample, scenario, servers

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]
JAVA = CLIENTS / "java"
MAVEN = ("mvn", "-B", "-ntp")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built copy of the modules with the jars they need, at its place below a copy of what it is built from."""
    need("java", "javac", "mvn")
    root = tmp_path_factory.mktemp("java")
    modules = Path(shutil.copytree(JAVA, root / "clients" / "java", ignore=shutil.ignore_patterns("target")))
    shutil.copytree(CLIENTS / "conformance", root / "clients" / "conformance")
    shutil.copytree(ROOT / "proto", root / "proto", ignore=shutil.ignore_patterns("__pycache__"))
    copying = ("dependency:copy-dependencies", "-DincludeScope=runtime")
    asyncio.run(run(*MAVEN, "package", "-DskipTests", *copying, cwd=modules, seconds=900))
    return modules


async def surefire(module: str, modules: Path, **environment: str) -> None:
    output = await run(*MAVEN, "test", "-pl", module, cwd=modules, **environment)
    assert re.search(r"Tests run: [1-9]\d*, Failures: 0, Errors: 0, Skipped: 0\n", output), output


async def test_the_receiver(built: Path) -> None:
    await surefire("hookpost-receiver", built)


async def test_the_client(built: Path, database_url: str, tmp_path: Path) -> None:
    async with servers(database_url, tmp_path) as called:
        await surefire("hookpost-client", built, **called.environment)
        called.check("hookpost-java/")


async def test_the_samples(built: Path, database_url: str, tmp_path: Path) -> None:
    """The receiver's runs with its jar alone."""
    receiver, client = (built / name / "target" for name in ("hookpost-receiver", "hookpost-client"))
    path = {"Receive": f"{receiver}/*", "Emit": f"{client}/*:{client}/dependency/*"}
    for name, readme in (("Receive", JAVA / "hookpost-receiver" / "README.md"), ("Emit", JAVA / "README.md")):
        (tmp_path / f"{name}.java").write_text(sample(readme, "java"))
        await run("javac", "-cp", path[name], f"{name}.java", cwd=tmp_path)
    receive, emit = (("java", "-cp", f"{path[name]}:.", name) for name in ("Receive", "Emit"))
    await scenario(database_url, receive, emit, tmp_path)
