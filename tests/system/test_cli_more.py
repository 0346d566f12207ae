"""Tests, health, explanations, replay, watching and verifying, by the real commands against one server."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .test_cli import CLEAN, HOOKPOST, Finished, dev, eventually, hookpost, wait_for
from .test_readme import free_port

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with dev(tmp_path_factory.mktemp("dev")) as (_, address):
        yield address


class Tenant:
    """Commands for one tenant, so that tests do not meet."""

    def __init__(self, address: str, name: str) -> None:
        self._address = address
        self._variables = {"HOOKPOST_TENANT": name}

    def run(self, *arguments: str, code: int = 0, stdin: str = "") -> Finished:
        done = hookpost(*arguments, address=self._address, stdin=stdin, **self._variables)
        assert done.code == code, done.out + done.err
        return done

    def webhook(self, port: int, *arguments: str, event: str = "User.*") -> str:
        where = ("--name", "w", "--url", f"http://127.0.0.1:{port}/", "--event", event, "-o", "id")
        return self.run("webhook", "create", *where, *arguments).out.strip()

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Runs beside the test."""
        environ = CLEAN | self._variables | {"HOOKPOST_ADDRESS": self._address}
        with subprocess.Popen(
            [HOOKPOST, *arguments], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    @contextmanager
    def background(self, *arguments: str, until: str) -> Iterator[subprocess.Popen[str]]:
        """Runs beside the test, from the moment at which it says `until`."""
        with self.started(*arguments) as process:
            wait_for(process, f"({until})", "stderr")
            yield process

    def sink(self, port: int, status: str = "200", *arguments: str) -> Any:
        return self.background("sink", "--port", str(port), "--status", status, *arguments, until="Listening")

    def on_a_terminal(self, *arguments: str, answer: str) -> Finished:
        """With a terminal for stdin, on which `answer` is typed."""
        ours, theirs = pty.openpty()
        try:
            os.write(ours, f"{answer}\n".encode())
            environ = CLEAN | self._variables | {"HOOKPOST_ADDRESS": self._address}
            done = subprocess.run(
                [HOOKPOST, *arguments],
                env=environ,
                stdin=theirs,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        finally:
            os.close(ours)
            os.close(theirs)
        return Finished(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def tenant(server: str, request: pytest.FixtureRequest) -> Tenant:
    return Tenant(server, request.node.name[:64])


def test_webhook_test_and_health(tenant: Tenant) -> None:
    port = free_port()
    webhook = tenant.webhook(port, "--retry", "1h")
    refused = tenant.run("webhook", "test", webhook, "--event", "User.Created", "--event", "User.Deleted", code=1)
    assert len(re.findall(r"^User\.\w+ +connect failed +\d+ ms +connection refused$", refused.out, re.M)) == 2
    assert "User.Created, User.Deleted: The host refused the connection" in refused.err
    assert "Error: 2 of 2 tests failed" in refused.err

    with tenant.sink(port, "200", "--limit", "1") as sink:
        unsaved = ("--url", f"http://127.0.0.1:{port}/elsewhere", "--header", "X-Try: 1", "--format", "raw")
        answered = tenant.run("webhook", "test", webhook, "--event", "User.Created", *unsaved, "-o", "json").json
        assert answered[0]["attempt"]["statusCode"] == 200
        assert answered[0]["attempt"]["url"].endswith("/elsewhere")
        assert sink.stdout
        assert '  {"userAgent":' in sink.stdout.read(), "raw: the payload alone"

    refused = tenant.run("webhook", "test", webhook, "--event", "User.Created", "--header", "host: x", code=2)
    assert "host" in refused.err

    health = tenant.run("webhook", "health", webhook)
    assert "success rate    no data" in health.out, "tests do not count"
    assert re.search(r"w +active +User\.\* +– +– +http", tenant.run("webhook", "list", "--health").out)
    tenant.run("emit", "User.Created", "--wait", "5s", code=1)
    assert "no data" in tenant.run("webhook", "get", webhook, "--health").out, "retried, so not yet a failure"


def test_why_a_delivery_failed_and_sending_it_again(tenant: Tenant, tmp_path: Path) -> None:
    port = free_port()
    webhook = tenant.webhook(port)
    with tenant.sink(port, "400,200") as sink:
        emitted = tenant.run("emit", "User.Created", "--wait", "10s", code=1)
        event, delivery = re.search(r"(evt_\w+).*\n.*\n(dlv_\w+)  failed +400", emitted.out).groups()  # type: ignore[union-attr]
        assert "did not accept the payload" in emitted.err
        assert "Error: 1 of 1 deliveries did not succeed in time" in emitted.err
        tenant.run("emit", "User.Created", "--wait", "10s", code=1)

        said = tenant.run("delivery", "explain", delivery).out
        assert said.startswith("Failed after 1 attempt: 400 at last, ")
        assert "400.\n  The receiver did not accept the payload." in said
        assert tenant.run("delivery", "list", "--event", event, "--outcome", "bad-status", "-o", "id").out.split()
        assert not tenant.run("delivery", "list", "--event", event, "--outcome", "timed-out", "-o", "id").out

        resent = tenant.run("delivery", "resend", delivery, "--wait")
        assert resent.out.startswith("Delivered: answered 200 at attempt 2, ")
        assert sink.stdout
        first, other, second = (sink.stdout.readline() for _ in range(3))
        assert (event in first, event in other, event in second) == (True, False, True), "the same event id"
        assert tenant.run("delivery", "resend", "dlv_" + "0" * 26, "--wait", code=3).err

    shown = tenant.run("delivery", "get", delivery, "--requests").out
    assert "Attempt 2 (redelivery): 200, succeeded" in shown
    assert f"sent     POST http://127.0.0.1:{port}/" in shown
    found = tenant.run("delivery", "get", delivery, "--requests", "-o", "json").json
    doctor(tenant, webhook, found["attempts"][-1]["request"], tmp_path)


def doctor(tenant: Tenant, webhook: str, request: Any, directory: Path) -> None:
    """The doctor's word about what was really sent, and about what a framework makes of it."""
    headers, body, key = (directory / name for name in ("headers", "body", "key"))
    headers.write_text("".join(f"{header['name']}: {header['value']}\r\n" for header in request["headers"]))
    key.write_text(tenant.run("webhook", "key", webhook).out)
    arguments = ("verify", "--secret", f"@{key}", "--headers", str(headers), "--body", str(body))
    body.write_text(request["body"])
    right = tenant.run(*arguments)
    assert right.out == "hex signature: ok\nStandard Webhooks: ok\n"
    body.write_text(json.dumps(json.loads(request["body"])))
    wrong = tenant.run(*arguments, code=1)
    assert wrong.out.count("WRONG (re-serialised)") == 2
    assert "Hint: Verify the raw bytes" in wrong.err


@pytest.mark.long
def test_replay(tenant: Tenant) -> None:
    port = free_port()
    webhook = tenant.webhook(port, "--retry", "none")
    for _ in range(3):
        tenant.run("emit", "User.Created", "--wait", "5s", code=1)
    chosen = ("replay", "--webhook", webhook, "--since", "1h")
    assert tenant.run(*chosen, "--dry-run", "--rate", "2").out == "This would send 3 requests over about 1.0 s.\n"
    assert "Hint: --dry-run counts, --yes begins" in tenant.run(*chosen, code=2).err
    assert "needs --webhook, --event or --replay" in tenant.run("replay", "--yes", code=2).err
    asked = tenant.on_a_terminal(*chosen, answer="n")
    assert asked.code == 130
    assert "This will send 3 requests over about 100 ms. Continue?" in asked.err
    failed = tenant.run(*chosen, "--yes", code=1)
    assert "3 failed" in failed.out
    (named,) = re.findall(r"hookpost delivery list --replay (rpl_\w{26})", failed.err)
    assert len(tenant.run("delivery", "list", "--replay", named, "-o", "id").out.split()) == 3
    tenant.run("emit", "User.Created", "--wait", "5s", code=1)

    with tenant.sink(port):
        done = tenant.on_a_terminal("replay", "--replay", named, answer="y")
        assert (done.code, done.out) == (0, "Sent 3 deliveries again: 3 succeeded, 0 failed.\n")
        assert not tenant.run("delivery", "list", "--replay", named, "--state", "failed", "-o", "id").out
        assert tenant.run(*chosen, "--yes").out.startswith("Sent 1 delivery again: 1")
        assert tenant.run(*chosen, "--dry-run").out == "This would send 0 requests.\n"

        again = (*chosen, "--state", "succeeded", "--rate", "0.1", "--yes")
        with tenant.background(*again, until=r"of 4 deliveries to go") as replaying:
            replaying.send_signal(signal.SIGINT)
            said = replaying.communicate(timeout=20)[1]
            assert replaying.returncode == 130
            assert re.search(r"Stopped; [234] deliveries as before, not sent again\.", said)

        detached = tenant.run(*again, "--detach").out.strip()
        assert re.fullmatch(r"rpl_\w{26}", detached)
        assert "Stopped; " in tenant.run("replay", "--stop", detached).err
        eventually(lambda: not tenant.run("delivery", "list", "--state", "pending", "-o", "id").out)

        with tenant.started(*again) as replaying:
            tenant.run("replay", "--stop", wait_for(replaying, r"--stop (rpl_\w{26})", "stderr"))
            out, err = replaying.communicate(timeout=20)
            assert replaying.returncode == 1, "stopped by somebody else: not all have succeeded"
            assert "more stopped, cancelled or removed" in out
            assert "Error: " in err

        late = tenant.webhook(port)
        assert tenant.run("replay", "--webhook", late, "--missed", "--yes").out.startswith("Sent 4 deliveries again: 4")


def test_watch(tenant: Tenant) -> None:
    port = free_port()
    webhook = tenant.webhook(port, "--retry", "none")
    chosen = ("delivery", "watch", "--webhook", webhook, "--state", "failed", "-o", "jsonl", "--limit", "1")
    with tenant.background(*chosen, until="Watching") as watching:
        first = tenant.run("emit", "User.Created", "-o", "id").out.strip()
        told = json.loads(watching.communicate(timeout=20)[0])
        assert watching.returncode == 0
    assert told["delivery"]["eventId"] == first
    second = tenant.run("emit", "User.Deleted", "-o", "id").out.strip()
    assert (
        "failed  connect failed at attempt 1" in tenant.run("delivery", "watch", "--event", second, "--until-done").out
    )
    resumed = tenant.run(*chosen, "--resume", told["resumeToken"])
    assert resumed.json["delivery"]["eventId"] == second, "what happened in between"
    assert "resume_token" in tenant.run("delivery", "watch", "--resume", told["resumeToken"], code=2).err
    assert "--until-done goes with" in tenant.run(*chosen, "--until-done", code=2).err


def test_emit_dry_run(tenant: Tenant) -> None:
    webhook = tenant.webhook(free_port())
    other = tenant.webhook(free_port(), event="Role.*")
    fits = tenant.run("emit", "User.Created", '{"data": {"id": "u1"}}', "--dry-run")
    assert "User.Created would go to 1 webhook; nothing was sent." in fits.out
    assert re.search(rf"{webhook} +w +yes +it subscribes to User\.\*", fits.out)
    assert re.search(rf"{other} +w +no +it does not subscribe to User\.Created", fits.out)
    assert '"data" is a required property' in tenant.run("emit", "User.Created", "--dry-run", code=1).err
    assert tenant.run("emit", "User.Created", "--dry-run", "--wait", "1s", code=2).err
    assert not tenant.run("event", "list", "-o", "id").out


def test_types_export(tenant: Tenant, tmp_path: Path) -> None:
    file = tmp_path / "events.json"
    assert "Wrote " in tenant.run("types", "export", "--asyncapi", "-o", str(file)).err
    document = json.loads(file.read_text())
    assert document["asyncapi"] == "3.0.0"
    assert "PostSignIn" in document["components"]["messages"]
    assert {"PostSignIn", "User.Created"} < {kind["name"] for kind in tenant.run("types", "export", "--json").json}
    assert "--asyncapi or --json" in tenant.run("types", "export", code=2).err


@pytest.mark.long
def test_listen_goes_on_when_server_and_program_come_back(tmp_path: Path) -> None:
    remote_port, local_port = free_port(), free_port()
    grpc = f"127.0.0.1:{free_port()}"
    tenant = Tenant(grpc, "default")

    def emit() -> str:
        return tenant.run("emit", "User.Created", "-o", "id").out.strip()

    with dev(tmp_path / "data", grpc) as (process, _):
        webhook = tenant.webhook(remote_port, "--retry", "200ms,200ms")
        tenant.webhook(remote_port, event="Role.*")
        key = tenant.run("webhook", "key", webhook).out.strip()
        listen = ("listen", "--forward", f"http://127.0.0.1:{local_port}/hook", "--event", "User.*")
        with tenant.background(*listen, until="Listening") as listening:
            assert listening.stdout
            first = emit()
            assert re.search(r"dlv_.*User\.Created.*→  no answer: Connection refused", listening.stdout.readline())
            with tenant.sink(local_port, "200", "--key", key) as local:
                assert local.stdout
                tenant.run("emit", "Role.Created")
                second = emit()
                line = local.stdout.readline()
                assert second in line, "neither the first once more, nor another type"
                assert "hex ok · v1 ok" in line, "the same bytes and signatures"
                assert "→  200 after " in listening.stdout.readline()
                process.send_signal(signal.SIGTERM)
                assert process.wait(20) == 0
                assert listening.stderr
                assert "The server is away" in listening.stderr.readline()
                with dev(tmp_path / "data", grpc):
                    third = emit()
                    assert third in local.stdout.readline(), "each delivery once, though retried"
                    assert "→  200 after " in listening.stdout.readline()
    assert len({first, second, third}) == 3
