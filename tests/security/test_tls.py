"""TLS at the door: who shows what to whom, certificates that change without a restart, files that do not fit (F16)."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import structlog
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from hookpost_server.cli.channel import Remote
from hookpost_server.cli.failures import ExitCode, Failure
from hookpost_server.domain.api_key import Scope
from hookpost_server.startup import StartError
from tests.rpc.serving import config, serving
from tests.security.calling import Caller, Secured, request_of, securing

LIST = "WebhookService/ListWebhooks"


class Files:
    """A certificate's files, and those of the authority for callers."""

    def __init__(self, directory: Path) -> None:
        self.certificate, self.key, self.client_ca = (directory / name for name in ("c.pem", "k.pem", "ca.pem"))

    def write(self, authority: trustme.CA) -> None:
        """As a tool for certificates does: a new file is put in the place of the old one."""
        made = authority.issue_cert("127.0.0.1")
        for path, content in (
            (self.certificate, b"".join(each.bytes() for each in made.cert_chain_pems)),
            (self.key, made.private_key_pem.bytes()),
        ):
            fresh = path.with_suffix(".new")
            fresh.write_bytes(content)
            fresh.rename(path)

    @property
    def settings(self) -> dict[str, Path]:
        return {"tls_cert": self.certificate, "tls_key": self.key}


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(tmp_path: Path, authority: trustme.CA) -> Files:
    files = Files(tmp_path)
    files.write(authority)
    return files


@contextlib.asynccontextmanager
async def calling(
    secured: Secured, authority: trustme.CA | None, shown: trustme.LeafCert | None = None, key: str | None = None
) -> AsyncIterator[Caller]:
    """On a connection of its own."""
    address, options = str(secured.address), [("grpc.use_local_subchannel_pool", 1)]
    if authority is None:
        channel = grpc.aio.insecure_channel(address, options)
    else:
        pair = (None, None)
        if shown is not None:
            pair = (shown.private_key_pem.bytes(), b"".join(each.bytes() for each in shown.cert_chain_pems))
        credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes(), *pair)
        channel = grpc.aio.secure_channel(address, credentials, options)
    async with channel:
        yield Caller(channel, key)


async def reaches(secured: Secured, authority: trustme.CA | None, shown: trustme.LeafCert | None = None) -> bool:
    """Whether a connection comes about; then a call without a key is told so."""
    async with calling(secured, authority, shown) as caller:
        try:
            await caller.call(LIST, request_of(LIST))
        except grpc.aio.AioRpcError as error:
            assert error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNAVAILABLE)
            return error.code() is grpc.StatusCode.UNAUTHENTICATED
    raise AssertionError("let in without a key")


async def test_f16_over_tls(database_url: str, files: Files, authority: trustme.CA) -> None:
    async with securing(database_url, **files.settings) as secured:
        async with calling(secured, authority, key=await secured.key(Scope.READ)) as caller:
            await caller.call(LIST, request_of(LIST))
        assert not await reaches(secured, None)
        assert not await reaches(secured, trustme.CA())
        assert await reaches(secured, authority)  # what was no TLS has harmed nobody


async def test_f16_callers_show_a_certificate_and_a_key(database_url: str, files: Files, authority: trustme.CA) -> None:
    callers = trustme.CA()
    callers.cert_pem.write_to_path(files.client_ca)
    shown = callers.issue_cert("shop.internal")
    async with securing(database_url, **files.settings, tls_client_ca=files.client_ca) as secured:
        assert not await reaches(secured, authority)
        assert not await reaches(secured, authority, trustme.CA().issue_cert("shop.internal"))
        assert await reaches(secured, authority, shown)
        async with calling(secured, authority, shown, await secured.key(Scope.READ)) as caller:
            await caller.call(LIST, request_of(LIST))


async def test_f16_a_new_certificate_without_a_restart(database_url: str, files: Files, authority: trustme.CA) -> None:
    async with (
        securing(database_url, **files.settings) as secured,
        calling(secured, authority, key=await secured.key(Scope.READ)) as old,
    ):
        await old.call(LIST, request_of(LIST))
        following = trustme.CA()
        files.write(following)
        assert await reaches(secured, following)
        assert not await reaches(secured, authority)
        await old.call(LIST, request_of(LIST))  # goes on as it began

        with structlog.testing.capture_logs() as lines:
            files.key.write_text("half of a key")
            assert await reaches(secured, following)
            files.certificate.unlink()
            assert await reaches(secured, following)
        assert {line["event"] for line in lines if line["log_level"] == "error"} == {"tls.not_reloaded"}
        files.write(authority)
        assert await reaches(secured, authority)


def encrypted(key: bytes) -> bytes:
    loaded = load_pem_private_key(key, None)
    return loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))


@pytest.mark.parametrize("fault", ["missing", "empty", "mixed up", "of another key", "encrypted", "a bad authority"])
async def test_f16_files_that_do_not_fit_stop_the_start(database_url: str, files: Files, fault: str) -> None:
    settings = dict(files.settings)
    match fault:
        case "missing":
            files.key.unlink()
        case "empty":
            files.certificate.write_bytes(b"")
        case "mixed up":
            settings = {"tls_cert": files.key, "tls_key": files.certificate}
        case "of another key":
            files.key.write_bytes(trustme.CA().issue_cert("127.0.0.1").private_key_pem.bytes())
        case "encrypted":
            files.key.write_bytes(encrypted(files.key.read_bytes()))
        case "a bad authority":
            files.client_ca.write_text("none")
            settings["tls_client_ca"] = files.client_ca
    with pytest.raises(StartError) as caught:
        async with serving(config(database_url, **settings)):
            pass
    assert ".pem" in str(caught.value) or "encrypted" in str(caught.value)
    assert "HOOKPOST_TLS_CERT" in caught.value.hint
    assert "PRIVATE KEY" not in str(caught.value)


async def test_f16_the_command_line_knows_whom_to_trust(
    database_url: str, files: Files, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.cert_pem.write_to_path(files.client_ca)
    shown = authority.issue_cert("me.internal")
    paths = {name: tmp_path / name for name in ("HOOKPOST_CA", "HOOKPOST_CLIENT_CERT", "HOOKPOST_CLIENT_KEY")}
    authority.cert_pem.write_to_path(paths["HOOKPOST_CA"])
    shown.cert_chain_pems[0].write_to_path(paths["HOOKPOST_CLIENT_CERT"])
    shown.private_key_pem.write_to_path(paths["HOOKPOST_CLIENT_KEY"])
    for name, path in paths.items():
        monkeypatch.setenv(name, str(path))
    async with securing(database_url, **files.settings, tls_client_ca=files.client_ca) as secured:
        key = await secured.key(Scope.READ)

        def ask() -> None:
            with Remote(f"https://{secured.address}", key=key) as remote:
                remote.call(remote.webhooks.ListWebhooks, request_of(LIST))

        await asyncio.to_thread(ask)
        monkeypatch.delenv("HOOKPOST_CLIENT_KEY")
        with pytest.raises(Failure, match="set both, or neither"):
            await asyncio.to_thread(ask)
        monkeypatch.delenv("HOOKPOST_CLIENT_CERT")
        with pytest.raises(Failure) as caught:
            await asyncio.to_thread(ask)
        assert caught.value.code == ExitCode.UNREACHABLE
        monkeypatch.setenv("HOOKPOST_CA", os.devnull + "/none")
        with pytest.raises(Failure, match=r"HOOKPOST_CA=.*can't be read"):
            await asyncio.to_thread(ask)
