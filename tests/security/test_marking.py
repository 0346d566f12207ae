"""E8: the search that every test ends with (tests/canary.py) finds what it is for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from hookpost_server.domain import api_key, sealing, signing
from tests import canary
from tests.keys import MASTER_KEY, RING
from tests.store.making import SECRET, TENANT

ROOT = Path(__file__).parents[2]
WEBHOOK = UUID(int=7)
TOKEN = 'Bearer of-a-"header"_in-a-test'
TELLING = """
from pathlib import Path
from hookpost_server.domain import signing

def test_that_prints():
    print(signing.new_secret())

def test_whose_process_logs(tmp_path):
    (tmp_path / "node-0.log").write_text(repr(signing.standard_key(signing.new_secret())))

def test_that_says_nothing():
    signing.new_secret()
"""


def made() -> dict[str, str]:
    return {
        "signing key": signing.new_secret(),
        "its bytes": repr(signing.standard_key(signing.new_secret())),
        "API key": api_key.new_text(WEBHOOK),
        "master key": sealing.new_key(),
        "its hex": sealing.MasterKey.parse(sealing.new_key()).secret.hex(),
        "master key of the tests": MASTER_KEY,
        "signing key of the tests": SECRET,
    }


def sealed(header: str) -> None:
    RING.seal(json.dumps({header: TOKEN}).encode(), TENANT, WEBHOOK, sealing.HEADERS)


@pytest.mark.parametrize("kind", made())
def test_e8_every_secret_has_the_mark(kind: str) -> None:
    assert canary.found(f"a line with {made()[kind]} in it")


def test_e8_those_of_other_processes_too() -> None:
    telling = "from hookpost_server.domain import signing; print(signing.new_secret())"
    told = subprocess.run([sys.executable, "-c", telling], capture_output=True, text=True, check=True).stdout
    assert canary.found(told)


def test_e8_secret_headers_are_known_by_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary, "values", {})
    sealed("X-Team")
    assert not canary.found(TOKEN)
    sealed("Authorization")
    assert canary.found(f"sent {TOKEN}")
    assert canary.found(json.dumps({"headers": [TOKEN]}))


async def test_e8_what_lies_in_plain_is_found(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary, "values", {})
    sealed("Authorization")
    generated = signing.new_secret()
    raw = signing.standard_key(generated).hex()
    sql = await asyncpg.connect(database_url)
    try:
        for value in (
            *(f"'a {plain} b'" for plain in (generated, TOKEN, raw)),
            *(f"'{plain}'::bytea" for plain in (generated, TOKEN)),
            *(f"'{json.dumps({'a': [plain]})}'::jsonb" for plain in (generated, TOKEN)),
            *(f"encode('{plain}'::bytea, 'base64')" for plain in (generated, TOKEN)),
            f"decode('{raw}', 'hex')",
        ):
            await sql.execute(f"create table leaking as select 1 as id, {value} as value")
            with pytest.raises(AssertionError, match="a secret lies in plain in leaking"):
                await canary.search(database_url)
            await sql.execute("drop table leaking")
        await canary.search(database_url)
    finally:
        await sql.close()


@pytest.mark.reveals
def test_e8_a_test_that_tells_fails(tmp_path: Path) -> None:
    file = tmp_path / "test_telling.py"
    file.write_text(TELLING)
    off = [word for name in ("cacheprovider", "hypothesispytest", "asyncio", "xdist") for word in ("-p", f"no:{name}")]
    command = [sys.executable, "-m", "pytest", "-p", "tests.canary", *off, "-q", str(file)]
    ran = subprocess.run(
        [*command, "--rootdir", str(tmp_path), "--basetemp", str(tmp_path / "base")],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ["PYTHONPATH"]])},
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert "3 passed, 2 errors" in ran, ran
    for name in ("test_that_prints", "test_whose_process_logs"):
        assert f"ERROR test_telling.py::{name} - a secret was told" in ran
