"""The real commands as processes, against a real server: what a newcomer does, and what goes wrong for them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.keys import MASTER_KEY

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

HOOKPOST = str(Path(sys.executable).with_name("hookpost"))
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("HOOKPOST_")}
CLEAN["HOOKPOST_METRICS_ADDRESS"] = "127.0.0.1:0"  # several servers run at once
CLEAN["HOOKPOST_CONSOLE_ADDRESS"] = "127.0.0.1:0"


@dataclass
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def hookpost(*arguments: str, address: str = "", stdin: str = "", timeout: float = 60, **variables: str) -> Finished:
    environ = CLEAN | variables | ({"HOOKPOST_ADDRESS": address} if address else {})
    done = subprocess.run(
        [HOOKPOST, *arguments], env=environ, input=stdin, capture_output=True, text=True, timeout=timeout, check=False
    )
    return Finished(done.returncode, done.stdout, done.stderr)


@contextmanager
def background(*arguments: str, address: str = "") -> Iterator[subprocess.Popen[str]]:
    environ = CLEAN | ({"HOOKPOST_ADDRESS": address} if address else {})
    with subprocess.Popen(
        [HOOKPOST, *arguments], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def dev(directory: Path, grpc_address: str = "127.0.0.1:0") -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A development server and its address, once it is ready."""
    with background("dev", "--data-dir", str(directory), "--grpc-address", grpc_address) as process:
        yield process, wait_for(process, r"gRPC +(\S+)")


def wait_for(process: subprocess.Popen[str], pattern: str, stream: str = "stdout") -> str:
    """The pattern's first group in the first line that has it."""
    lines = []
    for line in getattr(process, stream):
        lines.append(line)
        if found := re.search(pattern, line):
            return found[1]
    process.wait()
    raise AssertionError(f"no {pattern!r} in {lines}; {process.stderr.read() if process.stderr else ''}")


def eventually(check: Any, seconds: float = 15) -> Any:
    end = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < end, "not in time"
        time.sleep(0.1)
    return value


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with dev(tmp_path_factory.mktemp("dev")) as (_, address):
        yield address


def test_first_steps(server: str, tmp_path: Path) -> None:
    """sink, webhook create, emit, delivery get: the README's way, with one failure on it."""
    with background("sink", "--port", "0", "--status", "500,200", "--limit", "2", address=server) as sink:
        url = wait_for(sink, r"(http://\S+)", "stderr")
        created = hookpost(
            *("webhook", "create", "--name", "first", "--url", f"{url}hook", "--event", "User.*"),
            *("--header", "X-Team: crm", "--label", "team=crm", "--retry", "200ms,1s", "--timeout", "3s"),
            address=server,
        )
        assert created.code == 0, created.err
        webhook = re.search(r"whk_\w{26}", created.out)
        assert webhook
        assert "whsec_" in created.out

        payload = tmp_path / "user.json"
        payload.write_text('{"data": {"id": "u1", "big": 12345678901234567890.10}}')
        emitted = hookpost("emit", "User.Created", f"@{payload}", "-o", "json", address=server)
        assert emitted.code == 0, emitted.err
        assert emitted.json["deliveryCount"] == 1
        event = emitted.json["eventId"]

        lines = sink.stdout.read().splitlines() if sink.stdout else []
        assert sink.wait(10) == 0
    assert [line.split("  ")[1] for line in lines] == ["500", "200"]
    for number, line in enumerate(lines, 1):
        assert f"User.Created  {event}  attempt {number}  hex ok · v1 ok (" in line
        assert '{"event":"User.Created","createdAt":"' in line

    def ended() -> Any:
        found = hookpost("delivery", "list", "--event", event, "--state", "succeeded", "-o", "id", address=server)
        return found.out.strip()

    delivery = eventually(ended)
    shown = hookpost("delivery", "get", delivery, address=server)
    assert shown.out.startswith("Delivered: answered 200 at attempt 2, ")
    assert "Attempt 1 (scheduled): 500, bad status" in shown.out
    assert "Attempt 2 (scheduled): 200, succeeded" in shown.out
    read = hookpost("event", "get", event, "-o", "json", address=server)
    assert read.json["event"]["json"] == payload.read_text()
    assert [found["id"] for found in read.json["deliveries"]] == [delivery]
    assert event in hookpost("event", "list", "--type", "User.Created", address=server).out
    assert hookpost("webhook", "delete", webhook[0], "--yes", address=server).code == 0


def test_a_webhooks_life(server: str) -> None:
    key = "a-key-brought-along"
    created = hookpost(
        *("webhook", "create", "--name", "life", "--url", "https://example.org/", "--event", "Role.Created"),
        *("--signing-key", "-", "-o", "json"),
        stdin=key + "\n",
        address=server,
    )
    assert created.code == 0, created.err
    webhook = created.json["webhook"]["id"]

    def run(*arguments: str) -> Finished:
        done = hookpost("webhook", *arguments, address=server)
        assert done.code == 0, done.err
        return done

    assert run("key", webhook).out == key + "\n"
    updated = run("update", webhook, "--event", "Role.*", "--event", "User.*", "--timeout", "2s", "-o", "json").json
    assert updated["eventTypes"] == ["Role.*", "User.*"]
    assert updated["timeout"] == "2s"
    assert updated["name"] == "life"
    assert run("update", webhook, "--reset", "timeout", "-o", "json").json["timeout"] == "10s"
    stale = hookpost("webhook", "update", webhook, "--name", "x", "--etag", updated["etag"], address=server)
    assert stale.code == 1
    assert "Hint: somebody changed it" in stale.err

    assert "disabled: moving" in run("disable", webhook, "--reason", "moving").out
    assert webhook in run("list", "--state", "disabled", "-o", "id").out.split()
    assert "active" in run("enable", webhook).out
    fresh = run("rotate-key", webhook, "--overlap", "1h").out.strip()
    assert run("key", webhook).out.split() == [fresh, key]
    assert webhook in run("list", "--event", "User.Created", "-o", "id").out
    refused = hookpost("webhook", "delete", webhook, address=server)
    assert refused.code == 2
    assert "Hint: add --yes" in refused.err
    run("delete", webhook, "--yes")
    assert hookpost("webhook", "get", webhook, address=server).code == 3


def test_own_event_types(server: str) -> None:
    made = hookpost("types", "create", "order.paid", "--example", '{"id": 1}', "-o", "json", address=server)
    assert made.code == 0, made.err
    assert made.json["example"] == '{"id": 1}'
    again = hookpost("types", "create", "order.paid", address=server)
    assert again.code == 1
    assert "Hint: hookpost types update" in again.err
    assert hookpost("types", "update", "order.paid", "--description", "Paid.", address=server).code == 0
    assert "Paid" in hookpost("types", "get", "order.paid", address=server).out
    assert "order.paid" in hookpost("types", "list", "-o", "id", address=server).out.split()
    assert hookpost("types", "delete", "order.paid", address=server).code == 0
    assert hookpost("types", "get", "order.paid", address=server).code == 3
    assert hookpost("types", "delete", "User.Created", address=server).code == 1


CREATE = ("webhook", "create", "--name", "n", "--event", "User.Created", "--url")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("emit", "User.Creatd"), 3, "User.Created"),
        (("emit", "User.Created", "{"), 2, "json"),
        (("emit", "User.Created", "[]"), 2, "object"),
        (("emit", "User.Created", '{"a":1,"a":2}'), 2, "json"),
        (("emit", "User.Created", '{"hookId":1}'), 2, "hookId"),
        ((*CREATE, "not a url"), 2, "webhook.url"),
        ((*CREATE, "http://10.0.0.1/"), 2, "webhook.url"),
        ((*CREATE, "https://example.org/", "--header", "x: a\r\nb: c"), 2, "webhook.headers"),
        ((*CREATE, "https://example.org/", "--header", "host: x"), 2, "webhook.headers"),
        (("webhook", "create", "--name", "n" * 257, "--event", "", "--url", "x"), 2, "webhook.name"),
        (("webhook", "get", "whk_00000000000000000000000000"), 3, "Hint: hookpost webhook list"),
        (("webhook", "get", "nonsense"), 2, "webhook_id"),
        (("delivery", "get", "dlv_00000000000000000000000000"), 3, "Hint: hookpost delivery list"),
    ],
)
def test_refusals_explain_themselves(server: str, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = hookpost(*arguments, address=server)
    assert (done.code, done.out) == (code, ""), done.err
    assert done.err.startswith("Error: ")
    assert said in done.err
    assert "Traceback" not in done.err


def test_a_payload_over_the_limit(server: str) -> None:
    done = hookpost("emit", "User.Created", "-", stdin='{"a":"' + "x" * (256 << 10) + '"}', address=server)
    assert (done.code, done.out) == (2, ""), done.err
    assert "256 KiB" in done.err


def test_all_faults_are_named_at_once(server: str) -> None:
    done = hookpost("webhook", "create", "--name", "n" * 257, "--event", "a b", "--url", "x", address=server)
    assert done.code == 2
    assert {"webhook.name", "webhook.url", "webhook.event_types"} <= set(re.findall(r"webhook\.\w+", done.err))


def test_an_idempotency_key_counts_once(server: str) -> None:
    first, second = (
        hookpost("emit", "User.Created", "{}", "--key", "once", "-o", "id", address=server).out for _ in range(2)
    )
    assert first == second
    other = hookpost("emit", "User.Created", '{"a":1}', "--key", "once", address=server)
    assert other.code == 1
    assert f"Hint: the key belongs to event {first.strip()}" in other.err


def test_no_server() -> None:
    done = hookpost("emit", "User.Created", address="127.0.0.1:1")
    assert done.code == 5
    assert "Hint: is the server running? start it with: hookpost dev" in done.err


def test_port_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = hookpost("dev", "--data-dir", str(tmp_path / "data"), "--grpc-address", f"127.0.0.1:{port}")
        assert done.code == 1, done.err
        assert str(port) in done.err
        assert "Hint: " in done.err
        sink = hookpost("sink", "--port", str(port))
    assert sink.code == 1
    assert "in use" in sink.err


def test_directory_not_usable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = hookpost("dev", "--data-dir", str(tmp_path / "file" / "data"), "--grpc-address", "127.0.0.1:0")
    assert done.code == 1
    assert "Hint: " in done.err
    assert "Traceback" not in done.err


def test_database_away() -> None:
    for command in (("serve", "--grpc-address", "127.0.0.1:0"), ("migrate",)):
        away = "postgresql://u:canary@127.0.0.1:1/none"
        done = hookpost(*command, HOOKPOST_DATABASE_URL=away, HOOKPOST_MASTER_KEY=MASTER_KEY)
        assert done.code == 1
        assert "Hint: " in done.err
        assert "canary" not in done.out + done.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_dev_ends_cleanly_and_keeps_its_data(tmp_path: Path, number: signal.Signals) -> None:
    with dev(tmp_path / "data") as (process, address):
        created = hookpost(*CREATE, "https://example.org/", "-o", "json", address=address)
        second = hookpost("dev", "--data-dir", str(tmp_path / "data"), "--grpc-address", "127.0.0.1:0")
        assert second.code == 1, "one server a directory"
        assert "Hint: " in second.err
        process.send_signal(number)
        assert process.wait(20) == 0
    with dev(tmp_path / "data") as (process, address):
        assert hookpost("webhook", "get", created.json["webhook"]["id"], address=address).code == 0


def test_migrate(tmp_path: Path) -> None:
    directory = ("--data-dir", str(tmp_path / "data"))
    pending = hookpost("migrate", "--check", *directory)
    assert pending.code == 1
    assert "Hint: hookpost migrate" in pending.err
    applied = hookpost("migrate", *directory)
    assert applied.code == 0, applied.err
    assert applied.out == pending.out != ""
    assert hookpost("migrate", "--check", *directory).code == 0


def test_demo() -> None:
    done = hookpost("demo", timeout=120)
    assert done.code == 0, done.err
    assert "31 of 31 deliveries arrived in 33 requests" in done.out
    assert len(re.findall(r"^\S+ +dlv_\w+ .* succeeded +ok +ok ", done.out, re.M)) == 31
    assert re.search(r"^PostSignIn +dlv_\w+ +3 +500 500 200 ", done.out, re.M)
    assert re.search(r"First verified delivery after \d+\.\d s", done.out)
    assert "\x1b" not in done.out + done.err


def test_demo_that_is_kept_ends_cleanly() -> None:
    with background("demo", "--keep") as process:
        address = wait_for(process, r"HOOKPOST_ADDRESS=(\S+)")
        wait_for(process, "(Ctrl-C) stops it")
        assert hookpost("delivery", "list", "-o", "id", address=address).out.count("dlv_") == 31
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert process.stderr
        assert "Stopping…" in process.stderr.read()
