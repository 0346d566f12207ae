"""F15, F16: a server that would be open to strangers, or would share its port with another, does not start."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest

from hookpost_server import app, supervisor
from hookpost_server.config import Address, Config
from hookpost_server.domain.api_key import ALL_TENANTS, Scope
from hookpost_server.listening import Exposed, check_exposure
from hookpost_server.startup import StartError
from hookpost_server.store.api_keys import ApiKeys
from hookpost_server.store.database import Database
from tests.rpc.serving import Client, config, serving
from tests.security.calling import Caller, request_of

EVERYWHERE = Address("0.0.0.0", 0)
TLS = {"tls_cert": Path("cert.pem"), "tls_key": Path("key.pem")}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "hooks.example", "2001:db8::1"])
@pytest.mark.parametrize(
    ("settings", "sets"),
    [
        ({}, "HOOKPOST_TLS_CERT and HOOKPOST_TLS_KEY"),
        ({"auth": "keys"}, "HOOKPOST_TLS_CERT and HOOKPOST_TLS_KEY"),
        ({"auth": "off"}, "HOOKPOST_AUTH=keys"),
        ({"auth": "off", **TLS}, "HOOKPOST_AUTH=keys"),
    ],
)
def test_f16_beyond_loopback_takes_keys_and_tls(host: str, settings: dict[str, Any], sets: str) -> None:
    with pytest.raises(Exposed, match="beyond loopback") as caught:
        check_exposure(Config(grpc_address=Address(host, 50051), **settings))
    assert sets in caught.value.hint
    assert "HOOKPOST_INSECURE_BEHIND_PROXY=true" in caught.value.hint


@pytest.mark.parametrize(
    "settings",
    [
        {"grpc_address": Address("127.0.0.1", 1)},
        {"grpc_address": Address("::1", 1), "auth": "off"},
        {"grpc_address": EVERYWHERE, **TLS},
        {"grpc_address": EVERYWHERE, "insecure_behind_proxy": True},
        {"grpc_address": EVERYWHERE, "insecure_behind_proxy": True, "auth": "off"},
    ],
)
def test_f16_what_is_safe_enough(settings: dict[str, Any]) -> None:
    check_exposure(Config(**settings))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"console_address": EVERYWHERE}, "speaks no TLS"),
        ({"console_address": EVERYWHERE, "auth": "keys"}, "speaks no TLS"),
        ({"console_hosts": ("hooks.example.com",), "auth": "off"}, "let everybody in"),
    ],
)
def test_f16_a_console_that_others_reach_takes_keys_and_a_proxy(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(Exposed, match=words) as caught:
        check_exposure(Config(**settings))
    assert "HOOKPOST_INSECURE_BEHIND_PROXY=true" in caught.value.hint


def test_f16_keys_are_needed_wherever_the_console_can_be_reached() -> None:
    assert Config(console_hosts=("hooks.example.com",)).needs_keys
    assert Config(console_address=EVERYWHERE).needs_keys
    assert not Config().needs_keys
    check_exposure(Config(console_hosts=("hooks.example.com",)))


async def test_f16_without_a_key_nobody_could_call(database_url: str) -> None:
    with pytest.raises(Exposed, match="there is none") as caught:
        async with serving(config(database_url, auth="keys")):
            pass
    assert "hookpost key create" in caught.value.hint


async def test_f16_behind_a_proxy_keys_are_still_needed(database_url: str) -> None:
    database = await Database.open(database_url)
    _, text = await ApiKeys(database).create(ALL_TENANTS, "n", [Scope.READ])
    await database.close()
    everywhere = config(database_url, grpc_address=EVERYWHERE, insecure_behind_proxy=True)
    async with (
        serving(everywhere) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.address.port}") as channel,
    ):
        method = "WebhookService/ListWebhooks"
        assert (await Caller(channel).refused(method, request_of(method))).reason == "UNAUTHENTICATED"
        await Caller(channel, text).call(method, request_of(method))


@pytest.mark.parametrize("serve", [app.serve, supervisor.serve], ids=["one process", "several"])
async def test_f16_nothing_is_begun_for_nothing(serve: Any, tmp_path: Path) -> None:
    with pytest.raises(Exposed):
        await serve(Config(grpc_address=EVERYWHERE, data_dir=tmp_path), ready=print, stop=asyncio.Event())
    assert list(tmp_path.iterdir()) == []


async def test_f16_the_process_ends_with_78(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HOOKPOST_")}
    options = ("--grpc-address", "0.0.0.0:0", "--data-dir", str(tmp_path))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hookpost_server.cli.main", "serve", *options),
        env=clean,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        _, said = await process.communicate()
    assert process.returncode == 78
    assert said.startswith(b"Error: HOOKPOST_GRPC_ADDRESS=0.0.0.0:0 is beyond loopback")
    assert b"HOOKPOST_TLS_CERT" in said


@pytest.mark.parametrize("serve", [app.serve, supervisor.serve], ids=["one process", "several"])
async def test_f15_a_second_server_on_the_port_does_not_start(database_url: str, serve: Any) -> None:
    async with serving(config(database_url)) as server:
        second = config(database_url, grpc_address=server.address, processes=2)
        with pytest.raises(StartError, match=f"{server.address} can't be listened on"):
            await serve(second, ready=print, stop=asyncio.Event())
        async with grpc.aio.insecure_channel(str(server.address)) as channel:
            assert (await Client(channel).emit()).event_id
