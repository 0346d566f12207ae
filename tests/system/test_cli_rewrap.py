"""`hookpost rewrap`, and what serve says before and after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hookpost_server.domain.sealing import MasterKey
from tests.keys import MASTER_KEY, RING

from .test_cli import hookpost

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

NEW = "11" * 32


def test_a_key_is_exchanged(database_url: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{NEW}\n{MASTER_KEY}\n")
    alone = hookpost("rewrap", HOOKPOST_DATABASE_URL=database_url, HOOKPOST_MASTER_KEY=NEW)
    assert alone.code == 78
    assert str(RING.keys[0]) in alone.err
    done = hookpost("rewrap", HOOKPOST_DATABASE_URL=database_url, HOOKPOST_MASTER_KEYS_FILE=str(keys))
    assert done.code == 0, done.err
    assert done.out == f"Master key {RING.keys[0]} is no longer needed.\n"
    again = hookpost("rewrap", HOOKPOST_DATABASE_URL=database_url, HOOKPOST_MASTER_KEY=NEW)
    assert (again.code, again.out) == (0, "")
    old = hookpost("rewrap", HOOKPOST_DATABASE_URL=database_url, HOOKPOST_MASTER_KEY=MASTER_KEY)
    assert old.code == 78
    assert str(MasterKey.parse(NEW)) in old.err
    for finished in (alone, done, again, old):
        assert MASTER_KEY not in finished.out + finished.err
        assert NEW not in finished.out + finished.err
