"""F1, F2: the first key and all others from the command line, on the database itself, whether it is served or not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.system.test_cli import CLEAN, HOOKPOST, Finished, eventually, hookpost, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


def test_f1_keys_from_the_command_line(tmp_path: Path) -> None:
    def desk(*arguments: str) -> Finished:
        return hookpost(*arguments, "--data-dir", str(tmp_path / "data"))

    def create(*arguments: str) -> str:
        done = desk("key", "create", *arguments)
        assert done.code == 0, done.err
        assert done.out.startswith("hpk_")
        assert done.out.strip() not in done.err
        return done.out.strip()

    admin = create("--name", "me", "--scope", "admin", "--tenant", "*")
    file = tmp_path / "key"
    environ = CLEAN | {"HOOKPOST_AUTH": "keys", "HOOKPOST_DATA_DIR": str(tmp_path / "data")}
    command = [HOOKPOST, "dev", "--grpc-address", "127.0.0.1:0"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            address = wait_for(process, r"gRPC +(\S+)")
            refused = hookpost("webhook", "list", address=address)
            assert refused.code == 4
            assert "HOOKPOST_API_KEY" in refused.err
            assert hookpost("webhook", "list", address=address, HOOKPOST_API_KEY=admin).code == 0

            reader = create("--name", "a reader", "--scope", "read", "--expires-in", "1h")  # while it is served
            file.write_text(reader + "\n")
            with_file = {"address": address, "HOOKPOST_API_KEY_FILE": str(file)}
            lacking = hookpost("emit", "User.Created", **with_file)
            assert lacking.code == 4
            assert "EVENTS_EMIT" in lacking.err

            listed = desk("key", "list", "-o", "json").json
            assert [(row["name"], row["tenant"], row["scopes"], row["state"]) for row in listed] == [
                ("a reader", "default", "read", "works"),
                ("me", "*", "admin", "works"),
            ]
            revoked = desk("key", "revoke", listed[0]["id"])
            assert revoked.code == 0, revoked.err
            eventually(lambda: hookpost("webhook", "list", **with_file).code == 4, seconds=10)

            shown = desk("audit", "--actor", "operator").out
            assert [line.split()[-1] for line in shown.splitlines()[1:]] == [
                *(listed[0]["id"], "scopes=READ", "scopes=ADMIN")
            ]
            assert "api_key.revoked" in shown
            assert admin not in shown
        finally:
            process.terminate()
            assert process.wait(30) == 0
