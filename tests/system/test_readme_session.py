"""The README's section "A session", copied from it and run step by step; after each, what its text promises."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .test_cli import CLEAN, background, dev, wait_for
from .test_readme import BIN, README, free_port

pytestmark = pytest.mark.system

SECTION = README.split("\n## A session\n")[1].split("\n## ")[0]
PIECES = re.findall(r"(.*?)```sh\n(.*?)```", SECTION, re.DOTALL)
(_, RECEIVERS), (_, CREATE), (_, SIGN_IN), (_, BREAK), (_, REPLAY) = PIECES


class Session:
    """One terminal: variables live on from block to block. Free ports stand in for the README's."""

    def __init__(self, directory: Path, ports: dict[str, str], address: str) -> None:
        self._directory = directory
        self._ports = ports
        self._kept = directory / "variables"
        self._kept.touch()
        self._environ = CLEAN | {"HOOKPOST_ADDRESS": address}

    def run(self, block: str) -> str:
        """What the block printed, on stdout and on stderr; any command that fails ends it."""
        script = f"set -euo pipefail\n. {self._kept}\nset -a\n{self.substituted(block)}\nexport -p > {self._kept}\n"
        (self._directory / ".venv").mkdir(exist_ok=True)
        with contextlib.suppress(FileExistsError):
            (self._directory / ".venv" / "bin").symlink_to(BIN)
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self._directory,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def substituted(self, block: str) -> str:
        for port, free in self._ports.items():
            block = re.sub(rf"\b{port}\b", free, block)
        return block


@contextlib.contextmanager
def sink(command: str, address: str) -> Iterator[subprocess.Popen[str]]:
    """A receiver, as the README starts it, once it listens."""
    with background(*command.split("#")[0].split()[1:], address=address) as process:
        wait_for(process, "(Listening)", "stderr")
        yield process


def rates(text: str) -> dict[str, str]:
    """The success rate of each webhook in the last list of them, by name."""
    return dict(re.findall(r"^whk_\w+ +(\w+) +active +PostSignIn +(\S+)", text, re.M))


def test_a_session(tmp_path: Path) -> None:
    ports = {port: str(free_port()) for port in ("9001", "9002")}
    with dev(tmp_path / "data") as (_, address):
        session = Session(tmp_path, ports, address)
        crm, audit = [line for line in session.substituted(RECEIVERS).splitlines() if line.startswith("hookpost sink")]
        with sink(crm, address) as crm_sink:
            with sink(audit, address) as audit_sink:
                assert session.run(CREATE).count("PostSignIn  200 ") == 2, "a test of each webhook"

                said = session.run(SIGN_IN)
                assert "would go to 2 webhooks" in said
                assert len(re.findall(r"dlv_\w+  PostSignIn  succeeded  200 at attempt 1", said)) == 2
                assert rates(said) == {"crm": "100%", "audit": "100%"}
                assert "success rate    100%" in said

                audit_sink.send_signal(signal.SIGINT)
                assert audit_sink.stdout
                shown = audit_sink.stdout.read().splitlines()
            assert [line.split("attempt")[1].split("(")[0].strip() for line in shown] == ["1  hex ok · v1 ok"] * 2

            said = session.run(BREAK)
            assert re.search(r"dlv_\w+  PostSignIn  succeeded  200 at attempt 1", said), "the one that arrives"
            assert re.search(r"dlv_\w+  PostSignIn  failed  connect failed at attempt 4", said)
            assert said.count("nothing listens on that port") == 4, "the words, for each attempt"
            assert "Once the cause is removed: hookpost delivery resend dlv_" in said
            assert rates(said) == {"crm": "100%", "audit": "50.0%"}

            with sink(audit, address) as repaired:
                said = session.run(REPLAY)
                assert "This would send 1 request." in said
                assert "Sent 1 delivery again: 1 succeeded, 0 failed." in said
                assert "Attempt 5 (replay): 200, succeeded" in said, "in the same log entry"
                assert rates(said) == {"crm": "100%", "audit": "100%"}
                repaired.send_signal(signal.SIGINT)
                assert repaired.stdout
                assert repaired.stdout.read().count("attempt 5  hex ok · v1 ok") == 1
            crm_sink.send_signal(signal.SIGINT)
            assert crm_sink.stdout
            assert crm_sink.stdout.read().count("hex ok · v1 ok") == 3
