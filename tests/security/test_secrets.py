"""Headers, signatures and secrets: the cases E1 to E10. (`python -m tests.security -v` names those elsewhere)."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
import structlog
from standardwebhooks import Webhook as Verifier

from hookpost_server import app, master_keys, startup
from hookpost_server.cli.serve import for_development
from hookpost_server.config import Config
from hookpost_server.domain import sealing
from hookpost_server.domain.delivery import Result, State
from hookpost_server.domain.envelope import Format
from hookpost_server.domain.sealing import KeyRing, MasterKey
from hookpost_server.domain.webhook import Webhook
from hookpost_server.store.database import Database
from tests.delivery.engine import Engine
from tests.delivery.wire import receiving
from tests.faults.cluster import Cluster
from tests.keys import MASTER_KEY, RING
from tests.rpc.serving import config
from tests.store import making
from tests.store.conftest import (  # noqa: F401
    database,
    open_database,
    shared_database_url,
    sql,
)
from tests.store.making import SECRET, retries

INJECTED = ["a\r\nEvil: 1", "a\nEvil: 1", "a\x00b", "a\x7fb", "a\u2028b", "a\ud800b", " a", "é"]


async def test_e1_what_must_not_be_sent_is_not(
    database: Database,  # noqa: F811
    sql: asyncpg.Connection,  # noqa: F811
) -> None:
    """However it came into the database: three attempts by the policy, none of which leaves, and no other suffers."""
    async with receiving() as receiver, Engine(database).running() as engine:
        bad: dict[str, Webhook] = {}
        for value in INJECTED:
            webhook = await engine.webhook(f"{receiver.url}/bad", retry_policy=retries(*[0.0] * 10))
            headers = making.sealed(json.dumps({"X-A": value}).encode(), webhook.id, sealing.HEADERS)
            await sql.execute("update webhooks set headers = $2 where id = $1", webhook.id, headers)
            bad[value] = webhook
        good = await engine.webhook(f"{receiver.url}/good")
        (event,) = await engine.emit()
        for value, webhook in bad.items():
            found = await engine.ended(event, webhook)
            assert (found.state, [a.result for a in found.attempts]) == (State.FAILED, [Result.INTERNAL] * 3), value
            assert "Evil" not in found.attempts[0].error
        assert (await engine.ended(event, good)).state is State.SUCCEEDED
    assert [request.line for request in receiver.requests] == ["POST /hook/good HTTP/1.1"]


@pytest.mark.parametrize(
    "payload",
    [
        b'{"a":1.0,"b":1e2,"a":2}',
        b'{"z": 1, "a": 2}',
        b'{"u": "\\u00e9\\ud83d\\ude00 / \\/"}',
        '{"u": "é😀"}\n'.encode(),
        b'{ "n" : 12345678901234567890.10 }\r\n\t',
    ],
)
async def test_e6_the_producers_bytes_are_signed_and_sent(
    database: Database,  # noqa: F811
    payload: bytes,
) -> None:
    async with receiving() as receiver, Engine(database).running() as engine:
        webhook = await engine.webhook(receiver.url, payload_format=Format.RAW)
        (event,) = await engine.emit(payload=payload)
        assert (await engine.ended(event, webhook)).state is State.SUCCEEDED
    (request,) = receiver.requests
    assert request.body == payload
    Verifier(SECRET).verify(request.body, {name.lower(): value for name, value in request.headers}, json_parse=False)


async def copied(sql: asyncpg.Connection, one: UUID, other: UUID) -> None:  # noqa: F811
    for table, column, key in (("webhooks", "headers", "id"), ("signing_keys", "secret", "webhook_id")):
        await sql.execute(
            f"update {table} set {column} = (select {column} from {table} where {key} = $2) where {key} = $1",
            one,
            other,
        )


async def flipped(sql: asyncpg.Connection, one: UUID, other: UUID) -> None:  # noqa: F811
    last = "length(secret) - 1"
    change = f"set_byte(secret, {last}, get_byte(secret, {last}) # 1)"
    await sql.execute(f"update signing_keys set secret = {change} where webhook_id = $1", one)


async def foreign(sql: asyncpg.Connection, one: UUID, other: UUID) -> None:  # noqa: F811
    sealed = KeyRing([MasterKey(bytes(32))]).seal(b"x" * 16, making.TENANT, one, sealing.SECRET)
    await sql.execute("update signing_keys set secret = $2 where webhook_id = $1", one, sealed)


@pytest.mark.parametrize("spoil", [copied, flipped, foreign])
async def test_e9_what_does_not_open_waits(
    database: Database,  # noqa: F811
    sql: asyncpg.Connection,  # noqa: F811
    spoil: Callable[..., object],
) -> None:
    """Nothing is sent, nothing fails, no attempt is used up, somebody is told, and all of it arrives once it opens."""
    columns = "select w.headers, k.secret from webhooks w join signing_keys k on k.webhook_id = w.id where w.id = $1"
    async with receiving() as receiver, Engine(database).running() as engine:
        one = await engine.webhook(f"{receiver.url}/one")
        other = await engine.webhook(f"{receiver.url}/other")
        before = await sql.fetchrow(columns, one.id)
        await spoil(sql, one.id, other.id)  # type: ignore[misc]
        with structlog.testing.capture_logs() as lines:
            events = await engine.emit(5)
            for event in events:
                assert (await engine.ended(event, other)).state is State.SUCCEEDED
            await making.until(lambda: engine.directory.unreadable and not engine.dispatcher.in_flight)
        told = [line for line in lines if line["event"] == "webhook.unreadable"]
        assert told
        assert {line["log_level"] for line in told} == {"error"}
        assert engine.directory.unreadable == 1
        assert {request.line for request in receiver.requests} == {"POST /hook/other HTTP/1.1"}
        waiting = "select count(*) from deliveries where webhook_id = $1 and state = 1 and attempt_count = 0"
        assert await sql.fetchval(waiting, one.id) == 5
        await sql.execute("update webhooks set headers = $2 where id = $1", one.id, before["headers"])
        await sql.execute("update signing_keys set secret = $2 where webhook_id = $1", one.id, before["secret"])
        await sql.execute("update deliveries set due_at = now() where state = 1")  # the leases are over
        for event in events:
            assert (await engine.ended(event, one)).attempt_count == 1
        assert engine.directory.unreadable == 0
    assert all(request.header("webhook-signature") for request in receiver.requests)


REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "missing": ({"master_key": ""}, "no master key is set"),
    "short": ({"master_key": "CANARY-short"}, "HOOKPOST_MASTER_KEY: key 1 must be 32 bytes as base64 or hex"),
    "wrong": ({"master_key": "00" * 32}, "the database is encrypted with master key"),
    "second is none": (
        {"master_key": "", "master_keys": f"{MASTER_KEY},CANARY"},
        "HOOKPOST_MASTER_KEYS: key 2 must be 32 bytes as base64 or hex",
    ),
    "twice": ({"master_keys": MASTER_KEY}, "HOOKPOST_MASTER_KEY and HOOKPOST_MASTER_KEYS are set"),
    "no file": ({"master_key": "", "master_key_file": "/nowhere/key"}, "HOOKPOST_MASTER_KEY_FILE=/nowhere/key can't"),
    "several": ({"master_key": f"{MASTER_KEY},{'00' * 32}"}, "HOOKPOST_MASTER_KEY holds several keys"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_e10_no_start_without_the_key(database_url: str, case: str) -> None:
    given, said = REFUSED[case]
    with pytest.raises(startup.MasterKeyError) as caught:
        await app.serve(config(database_url, **given), ready=lambda running: None, stop=None)  # type: ignore[arg-type]
    assert str(caught.value).startswith(said)
    assert caught.value.hint
    assert caught.value.exit_code == 78
    assert "CANARY" not in str(caught.value) + caught.value.hint


@pytest.mark.system
@pytest.mark.parametrize("processes", ["1", "2"])
async def test_e10_as_a_process_says_it(database_url: str, tmp_path: Path, processes: str) -> None:
    cluster = Cluster(database_url, tmp_path)
    node = await cluster.spawn(master_key="00" * 32, processes=processes)
    try:
        assert await node.end() == 78
    finally:
        await cluster.close()
    said = node.log.read_text()
    assert f"Error: the database is encrypted with master key {RING.keys[0]}" in said
    assert "Hint: " in said
    assert "Traceback" not in said
    assert "serves gRPC" not in said


@pytest.mark.parametrize("name", ["master_key", "master_keys", "master_key_file", "master_keys_file"])
def test_where_keys_come_from(tmp_path: Path, name: str) -> None:
    file = tmp_path / "key"
    file.write_text(f"{MASTER_KEY}\n")
    given = Config(database_url="postgresql://x", **{name: str(file) if name.endswith("_file") else MASTER_KEY})
    assert master_keys.key_ring(given).keys == RING.keys
    handed_on = master_keys.handed_on(given, RING)
    assert master_keys.key_ring(Config.from_env(handed_on.environment())).keys == RING.keys
    shown = str(handed_on.table()) + repr(handed_on) + str(given.table()) + repr(given)
    assert MASTER_KEY not in shown


def test_a_development_database_has_a_key_of_its_own(tmp_path: Path) -> None:
    given = Config(data_dir=tmp_path / "data")
    made = master_keys.key_ring(given)
    file = tmp_path / "data" / "master.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["master.key"]
    assert master_keys.key_ring(given).keys == made.keys
    assert master_keys.key_ring(Config(data_dir=tmp_path / "other")).keys != made.keys
    elsewhere = for_development(Config(data_dir=tmp_path / "data", database_url="postgresql://x"))
    assert master_keys.key_ring(elsewhere).keys == made.keys
    file.write_text("CANARY")
    with pytest.raises(startup.MasterKeyError, match="must be 32 bytes") as caught:
        master_keys.key_ring(given)
    assert "CANARY" not in str(caught.value)
