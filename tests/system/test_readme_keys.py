"""The README's section "Keys and TLS", copied from it and run: a key, a certificate, a server, a call."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from .test_cli import CLEAN, wait_for
from .test_readme import BIN, README, free_port

pytestmark = pytest.mark.system

SECTION = README.split("\n## Keys and TLS\n")[1].split("\n## ")[0]
KEYS, TLS = re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_keys_and_tls(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(BIN)
    port = str(free_port())
    certificate, serve, ask = TLS.replace("50051", port).replace("\\\n", "").splitlines()

    def bash(script: str, **environ: str) -> str:
        """What was said, on both streams."""
        command, surroundings = ["bash", "-euc", script], CLEAN | environ
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=surroundings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}"
        return done.stdout

    *shown, key = bash(f"{KEYS}\necho $HOOKPOST_API_KEY").splitlines()
    assert "events-emit" in "\n".join(shown)
    assert key.startswith("hpk_")
    bash(certificate)
    with subprocess.Popen(
        ["bash", "-c", f"exec env {serve}"], cwd=tmp_path, env=CLEAN, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            wait_for(server, r"serves gRPC on (\S+),", "stderr")
            assert "No webhook" in bash(ask, HOOKPOST_API_KEY=key)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
