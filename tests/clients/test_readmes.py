"""The samples of the Python READMEs run as they stand."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import aiohttp
import pytest

from hookpost_server.domain import signing
from tests.rpc.serving import config, serving

from .apps import serve_asgi
from .test_adapters import BODY, headers

CLIENTS = Path(__file__).resolve().parents[2] / "clients" / "python"


def samples(path: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL)


async def test_the_client(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (sample,) = samples(CLIENTS / "README.md")
    async with serving(config(database_url)) as server:
        monkeypatch.setenv("HOOKPOST_ADDRESS", str(server.address))
        await asyncio.to_thread(exec, compile(sample, "README.md", "exec"), {})
    assert "EVENT_TYPE_UNKNOWN False" in capsys.readouterr().out


def test_the_receiver(capsys: pytest.CaptureFixture[str]) -> None:
    sample, _ = samples(CLIENTS / "receiver" / "README.md")
    key = signing.new_secret()
    answers: list[tuple[int, str]] = []
    names = {"body": BODY, "headers": headers(BODY, key=key), "answer": lambda *given: answers.append(given)}
    exec(sample.replace("whsec_…", key), dict(names))
    assert capsys.readouterr().out.startswith("User.Created evt_1")
    exec(sample.replace("whsec_…", signing.new_secret()), dict(names))
    ((status, text),) = answers
    assert (status, text[:13]) == (401, "bad_signature")


async def test_the_receiver_in_fastapi() -> None:
    _, sample = samples(CLIENTS / "receiver" / "README.md")
    key = signing.new_secret()
    names: dict[str, object] = {}
    exec(sample.replace("whsec_…", key), names)
    async with (
        serve_asgi(names["app"]) as url,
        aiohttp.ClientSession() as session,
        session.post(f"{url}/hook", data=BODY, headers=headers(BODY, key=key)) as answer,
    ):
        assert await answer.json() == {"seen": "evt_1"}
