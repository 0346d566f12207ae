"""C6, C7, C9: what the environment says, who signs with SHA-1, and a receiver that was restarted."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
import trustme

from hookpost_server.delivery.sender import Sender
from hookpost_server.domain.delivery import Result
from tests.delivery.asking import send
from tests.delivery.conftest import MakeSender
from tests.delivery.wire import Exchange, answering, receiving


async def test_c6_no_key_log(
    make_sender: MakeSender,
    authority: trustme.CA,
    trusting: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A key log would let who records the traffic read it."""
    log = tmp_path / "keys"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with receiving(tls=context) as receiver:
        assert (await send(make_sender(tls=trusting), receiver.url)).result is Result.SUCCEEDED
    assert not log.exists()


def signed_with_sha1(authority: trustme.CA, directory: Path) -> ssl.SSLContext:
    """A server's context whose certificate the authority signed with SHA-1, which only the command still does."""
    for name, content in {
        "ca.pem": authority.cert_pem.bytes() + authority.private_key_pem.bytes(),
        "names": b"subjectAltName=IP:127.0.0.1",
    }.items():
        (directory / name).write_bytes(content)
    for command in (
        "openssl req -new -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout key.pem -out request.pem",
        "openssl x509 -req -sha1 -days 1 -set_serial 1 -extfile names -CA ca.pem -CAkey ca.pem -in request.pem "
        "-out certificate.pem",
    ):
        subprocess.run(command.split(), cwd=directory, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.load_cert_chain(directory / "certificate.pem", directory / "key.pem")
    return context


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the command openssl")
async def test_c7_a_certificate_signed_with_sha1(
    make_sender: MakeSender, authority: trustme.CA, trusting: ssl.SSLContext, tmp_path: Path
) -> None:
    async with receiving(tls=signed_with_sha1(authority, tmp_path)) as receiver:
        outcome = await send(make_sender(tls=trusting), receiver.url)
        assert outcome.result is Result.TLS_FAILED
        assert receiver.received == 0


async def test_c9_a_receiver_with_many_idle_connections_was_restarted(sender: Sender) -> None:
    """Each is found dead only when a request is on its way over it. It is delivered all the same, in a few tries."""
    idle = 12

    async def answer(exchange: Exchange) -> object:
        await receiver.until(lambda r: r.connections >= idle)
        if exchange.request.connection <= idle and len(receiver.requests) > idle:
            return None
        return await answering()(exchange)

    async with receiving() as receiver:
        receiver.answer = answer
        first = await asyncio.gather(*(send(sender, receiver.url) for _ in range(idle)))
        assert {outcome.result for outcome in first} == {Result.SUCCEEDED}
        assert (await send(sender, receiver.url)).result is Result.SUCCEEDED
        assert receiver.requests[-1].connection == idle + 1
        assert len(receiver.requests) <= idle + 8
