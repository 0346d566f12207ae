"""What the clients in other languages are tested with: their own tools, and servers for them to call.

Their own tests find the servers by the environment: HOOKPOST_TEST_ADDRESS (a `hookpost serve`), HOOKPOST_TEST_SCRIPTED
(answers as `calls.json` says), HOOKPOST_TEST_TLS with HOOKPOST_TEST_CA_FILE (answers all, notes who called).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from hookpost.v1 import (
    delivery_pb2,
    event_service_pb2,
    event_service_pb2_grpc,
    webhook_pb2,
    webhook_service_pb2,
)
from tests.rpc.serving import Client, config, eventually

from .scripted import Scripted, scripted
from .vectors import cases

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / "clients"
TOGETHER = 10  # events
KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def need(*tools: str) -> None:
    """Skips where a language is not installed."""
    if missing := [tool for tool in tools if shutil.which(tool) is None]:
        pytest.skip(f"{' and '.join(missing)} not found; install and run `make test-long ARGS=tests/clients` again")


async def run(*command: str, cwd: Path, seconds: float = 300, **environment: str) -> str:
    """What the command prints, once it ended well; its whole output when it did not."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env=_clean() | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output = (await asyncio.wait_for(process.communicate(), seconds))[0].decode()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    assert process.returncode == 0, f"{' '.join(command)}\n{output}"
    return output


def _clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("HOOKPOST_")}


@contextlib.asynccontextmanager
async def started(*command: str, cwd: Path, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program that runs while the block lasts."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=_clean() | environment, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


class Noting(event_service_pb2_grpc.EventServiceServicer):
    """Accepts everything and notes the metadata of each call.

    Its streams treat two types in another way. `Conformance.Broken`: the first call breaks when TOGETHER of them have
    come, without an answer; at its second coming each is told to come again; the third is accepted.
    `Conformance.Stranger`: the call ends with UNAUTHENTICATED.
    """

    def __init__(self) -> None:
        self.calls: list[dict[str, str]] = []
        self.broken: Counter[tuple[str, str]] = Counter()  # payload and key, how often they came

    async def EmitEvent(self, request: Any, context: Any) -> event_service_pb2.EmitEventResponse:
        self.calls.append(dict(context.invocation_metadata()))
        return event_service_pb2.EmitEventResponse(event_id="evt_1")

    async def StreamEmitEvents(self, requests: Any, context: Any) -> Any:
        self.calls.append(dict(context.invocation_metadata()))
        async for each in requests:
            result = event_service_pb2.StreamEmitEventsResult(sequence=each.sequence)
            result.response.event_id = "evt_1"
            if each.event.type == "Conformance.Stranger":
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
            if each.event.type == "Conformance.Broken":
                event = each.event.json, each.event.idempotency_key
                self.broken[event] += 1
                if self.broken.total() == TOGETHER:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
                if self.broken[event] == 1:
                    continue
                if self.broken[event] == 2:
                    result.error.code = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
                    result.error.retry_delay.FromMilliseconds(50)
            yield event_service_pb2.StreamEmitEventsResponse(results=[result])


@contextlib.asynccontextmanager
async def _noting(directory: Path) -> AsyncIterator[tuple[Noting, dict[str, str]]]:
    """By TLS; its certificate is of an authority that nobody else knows."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.pem")
    certificate = authority.issue_cert("localhost")
    chain = b"".join(each.bytes() for each in certificate.cert_chain_pems)
    credentials = grpc.ssl_server_credentials([(certificate.private_key_pem.bytes(), chain)])
    server, servicer = grpc.aio.server(), Noting()
    event_service_pb2_grpc.add_EventServiceServicer_to_server(servicer, server)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield (
            servicer,
            {"HOOKPOST_TEST_TLS": f"https://localhost:{port}", "HOOKPOST_TEST_CA_FILE": str(directory / "ca.pem")},
        )
    finally:
        await server.stop(None)


@contextlib.asynccontextmanager
async def hookpost(database_url: str) -> AsyncIterator[str]:
    """The address of a `hookpost serve`."""
    command = (sys.executable, "-m", "hookpost_server.cli.main", "serve")
    environ = _clean() | config(database_url, log_format="json").environment()
    process = await asyncio.create_subprocess_exec(*command, env=environ, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    lines: list[str] = []

    async def read() -> None:
        async for line in process.stderr:  # type: ignore[union-attr]
            lines.append(line.decode())

    reading = asyncio.create_task(read())
    try:

        async def address() -> str | None:
            assert process.returncode is None, "".join(lines)
            found = re.search(r"serves gRPC on (\S+),", "".join(lines))
            return found and found[1]

        yield await eventually(address)
    finally:
        process.terminate()
        await process.wait()
        await reading


@dataclass
class Servers:
    """What a client's own tests call, and what that looked like."""

    scripted: Scripted
    noting: Noting
    environment: Mapping[str, str] = field(repr=False)

    def check(self, user_agent: str) -> None:
        """What the servers saw of a client that ran all its tests."""
        for case in cases("calls"):
            keys = self.scripted.keys[case["type"]]
            assert len(keys) == case["calls"], case["name"]
            assert len(set(keys)) == 1, "one key for one logical call"
            assert keys[0]
        assert set(self.noting.broken.values()) == {3}, "the same events under the same keys, over and over"
        assert len(self.noting.broken) == TOGETHER
        for call in self.noting.calls:
            assert call["authorization"] == "Bearer k1"
            assert call["user-agent"].startswith(user_agent)


@contextlib.asynccontextmanager
async def servers(database_url: str, directory: Path) -> AsyncIterator[Servers]:
    """All three."""
    async with hookpost(database_url) as address, scripted() as (script, port), _noting(directory) as (noting, tls):
        environment = {"HOOKPOST_TEST_ADDRESS": address, "HOOKPOST_TEST_SCRIPTED": f"127.0.0.1:{port}"} | tls
        yield Servers(script, noting, environment)


def sample(readme: Path, language: str) -> str:
    """The one runnable sample of a README: what its readers copy."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", readme.read_text(), re.DOTALL)
    return str(found)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


async def scenario(database_url: str, receiver: tuple[str, ...], sender: tuple[str, ...], cwd: Path) -> None:
    """Both samples against a `hookpost serve`: what the sender emits, the receiver verifies; the delivery says so.

    The receiver listens on PORT and knows its key by HOOKPOST_KEY; it prints the events' types and ids.
    """
    port = free_port()
    async with (
        hookpost(database_url) as address,
        started(*receiver, cwd=cwd, PORT=str(port), HOOKPOST_KEY=KEY) as program,
        grpc.aio.insecure_channel(address) as channel,
    ):
        client = Client(channel)
        client.tenant = "default"
        await eventually(lambda: _listens(port))
        webhook = webhook_pb2.Webhook(name="sample", url=f"http://127.0.0.1:{port}/hook", event_types=["*"])
        request = webhook_service_pb2.CreateWebhookRequest(webhook=webhook, signing_key=KEY)
        await client.webhooks.CreateWebhook(request)
        printed = await run(*sender, cwd=cwd, seconds=60, HOOKPOST_ADDRESS=address)
        found = re.search(r"evt_\w{26}", printed)
        assert found, printed
        (delivery,) = await client.ended(found[0])
        assert delivery.state == delivery_pb2.DELIVERY_STATE_SUCCEEDED, delivery
        assert program.stdout is not None
        line = (await asyncio.wait_for(program.stdout.readline(), 30)).decode()
        assert line.split() == ["User.Created", found[0]]


async def _listens(port: int) -> bool | None:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return None
    writer.close()
    return True
