"""The README's own commands, copied from it and run: what keeps it true."""

from __future__ import annotations

import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .test_cli import CLEAN, background, dev, eventually, hookpost, wait_for

pytestmark = pytest.mark.system

README = (Path(__file__).parents[2] / "README.md").read_text()
BIN = Path(sys.executable).parent


def commands(beginning: str) -> list[str]:
    """The commands of the README's code blocks that begin so, continued lines joined, comments gone."""
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL)).replace("\\\n", " ")
    found = [line.strip() for line in blocks.splitlines() if line.startswith(beginning)]
    assert found, f"the README has no command that begins with {beginning!r}"
    return [" ".join(shlex.quote(word) for word in shlex.split(line, comments=True)) for line in found]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with dev(tmp_path / "data") as (_, address):
        yield address


def run(command: str, address: str, sink_port: int) -> str:
    """Runs a line of the README, with free ports in the place of 50051 and 9000."""
    command = command.replace("127.0.0.1:50051", address).replace(":9000", f":{sink_port}")
    words = [word.replace(".venv/bin/", f"{BIN}/") for word in shlex.split(command)]
    environ = CLEAN | {"HOOKPOST_ADDRESS": address}
    done = subprocess.run(words, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_by_hand_with_the_command(server: str) -> None:
    port = free_port()
    with background("sink", "--port", str(port), address=server) as sink:
        wait_for(sink, r"http://127.0.0.1:(\d+)", "stderr")
        for command in commands(".venv/bin/hookpost webhook") + commands(".venv/bin/hookpost emit"):
            run(command, server, port)
        eventually(lambda: "succeeded" in hookpost("delivery", "list", address=server).out.lower())
        for command in commands(".venv/bin/hookpost delivery"):
            assert "User.Created" in run(command, server, port)


@pytest.mark.parametrize(
    "tool", [pytest.param("grpcurl", id="grpcurl"), pytest.param(".venv/bin/buf curl", id="buf-curl")]
)
def test_by_hand_with_grpc_tools(server: str, tool: str) -> None:
    program = tool.split()[0].removeprefix(".venv/bin/")
    if not (shutil.which(program) or (BIN / program).exists()):
        pytest.skip(f"{program} is not installed; `go install github.com/fullstorydev/grpcurl/cmd/grpcurl@latest`")
    output = [run(command, server, free_port()) for command in commands(tool)]
    assert "evt_" in output[-1]
