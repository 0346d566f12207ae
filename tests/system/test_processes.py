"""`hookpost serve --processes N`: one port, several processes, none of them missed for long."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import grpc
import pytest
import structlog

from hookpost_server import supervisor
from hookpost_server.config import Address, Config
from tests.receiver import receiving
from tests.rpc.serving import Client, config, eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


@pytest.fixture
async def supervised(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, Path]]:
    """`hookpost serve --processes 2`, its address, and the file of its lines."""
    log = tmp_path / "lines.log"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HOOKPOST_")}
    with socket.create_server(("127.0.0.1", 0)) as free:
        console = Address("127.0.0.1", free.getsockname()[1])
    environ |= config(database_url, log_format="json", console_address=console).environment()
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "hookpost_server.cli.main", "serve", "--processes", "2"), env=environ, stderr=file
        )
    try:

        async def address() -> str | None:
            found = re.search(r"serves gRPC on (\S+),", log.read_text())
            assert process.returncode is None, log.read_text()
            return found and found[1]

        yield process, await eventually(address), log
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_both_serve_and_one_that_is_killed_comes_back(
    supervised: tuple[asyncio.subprocess.Process, str, Path],
) -> None:
    process, address, log = supervised
    first, second = children(process.pid)
    assert re.search(r"at most [0-9,]+ open files", log.read_text())
    assert log.read_text().count('"open_files"') == 2
    async with receiving() as receiver:
        async with grpc.aio.insecure_channel(address) as channel:
            client = Client(channel)
            await client.create(receiver.url)
            for _ in range(20):
                await client.emit()
        await receiver.received(20)  # what the killed one still held would come when its leases lapse
        os.kill(first, signal.SIGKILL)

        async def back() -> bool | None:
            now = children(process.pid)
            return True if len(now) == 2 and first not in now and "process.restarted" in log.read_text() else None

        await eventually(back)
        assert second in children(process.pid)
        options = [("grpc.use_local_subchannel_pool", 1)]
        for _ in range(8):  # new connections, spread over both
            async with grpc.aio.insecure_channel(address, options=options) as channel:
                client.events = Client(channel).events
                await client.emit()
        await receiver.until(lambda receiver: len({each.event_id for each in receiver.requests}) == 28)
    console = re.search(r"console on (http://\S+/),", log.read_text())
    assert console
    async with aiohttp.ClientSession() as session, session.get(console[1]) as page:
        assert page.status == 200, "one of them serves the console, also after a restart"
    process.terminate()
    assert await process.wait() == 0
    assert log.read_text().count('"server.stopped"') == 2


async def test_they_end_with_their_supervisor(supervised: tuple[asyncio.subprocess.Process, str, Path]) -> None:
    process, _, _ = supervised
    nodes = children(process.pid)
    process.kill()
    await process.wait()

    async def gone() -> bool | None:
        return True if not any(Path(f"/proc/{pid}").exists() for pid in nodes) else None

    await eventually(gone)


async def test_one_that_can_not_be_started_anew_is_tried_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For want of memory or of processes, say: the others serve on, and no file is left open by the tries."""
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    settings = replace(config(database_url), processes=2)
    with structlog.testing.capture_logs() as lines:
        serving = asyncio.create_task(supervisor.serve(settings, ready=ready.set_result, stop=stop))
        await asyncio.wait([serving, ready], return_when=asyncio.FIRST_COMPLETED)

        def told(event: str) -> int:
            return sum(line["event"] == event for line in lines)

        async def tries() -> bool | None:
            return told("process.not_restarted") >= 2 or None

        async def back() -> bool | None:
            return told("process.restarted") == 1 or None

        try:
            doomed, _ = nodes_of(os.getpid())
            files = len(list(Path("/proc/self/fd").iterdir()))
            with monkeypatch.context() as patch:
                patch.setattr(sys, "executable", "/nowhere/python")
                os.kill(doomed, signal.SIGKILL)
                await eventually(tries)
            await eventually(back)
            assert len(nodes_of(os.getpid())) == 2
            assert len(list(Path("/proc/self/fd").iterdir())) <= files + 1
        finally:
            stop.set()
            await serving


def nodes_of(pid: int) -> list[int]:
    return [child for child in children(pid) if b"cli.node" in Path(f"/proc/{child}/cmdline").read_bytes()]


def test_settings_go_from_one_process_to_the_other() -> None:
    settings = Config(database_url="postgresql://u:p@h/d", max_in_flight=7, allow_http=True, lease_margin=2.5)
    assert Config.from_env(settings.environment()) == settings
