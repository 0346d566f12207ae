"""Every sender: not one byte of a request to anybody who is not who the URL says."""

from __future__ import annotations

import datetime
import ssl
import warnings
from pathlib import Path

import pytest
import trustme

from hookpost_server.delivery.egress import tls_context
from hookpost_server.domain.delivery import Result

from .asking import send
from .conftest import MakeSender
from .wire import receiving

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


def serving(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


async def test_a_good_certificate(make_sender: MakeSender, authority: trustme.CA, trusting: ssl.SSLContext) -> None:
    sender = make_sender(tls=trusting)
    async with receiving(tls=serving(authority.issue_cert("127.0.0.1"))) as receiver:
        for _ in range(3):
            outcome = await send(sender, receiver.url)
            assert (outcome.result, outcome.status, outcome.body) == (Result.SUCCEEDED, 200, b"ok")
        assert receiver.connections == 1
        assert receiver.requests[0].header("host") == f"127.0.0.1:{receiver.port}"


def _self_signed(authority: trustme.CA) -> ssl.SSLContext:
    return serving(trustme.CA().issue_cert("127.0.0.1"))


def _wrong_host(authority: trustme.CA) -> ssl.SSLContext:
    return serving(authority.issue_cert("example.org", "*.example.org", "127.0.0.2"))


def _expired(authority: trustme.CA) -> ssl.SSLContext:
    return serving(authority.issue_cert("127.0.0.1", not_before=NOW - 3 * DAY, not_after=NOW - DAY))


def _not_yet(authority: trustme.CA) -> ssl.SSLContext:
    return serving(authority.issue_cert("127.0.0.1", not_before=NOW + DAY, not_after=NOW + 3 * DAY))


def _old_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = serving(authority.issue_cert("127.0.0.1"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


@pytest.mark.parametrize("bad", [_self_signed, _wrong_host, _expired, _not_yet, _old_tls])
@pytest.mark.case("C7")
async def test_a_bad_certificate(  # type: ignore[no-untyped-def]
    make_sender: MakeSender, authority: trustme.CA, trusting: ssl.SSLContext, bad
) -> None:
    sender = make_sender(tls=trusting)
    async with receiving(tls=bad(authority)) as receiver:
        outcome = await send(sender, receiver.url)
        assert outcome.status is None
        if bad is _old_tls:  # it may end the handshake without a word
            assert outcome.result in (Result.TLS_FAILED, Result.CONNECT_FAILED)
        else:
            assert outcome.result is Result.TLS_FAILED
            assert outcome.error.startswith("certificate: ")
        assert (receiver.requests, receiver.received) == ([], 0)


@pytest.mark.case("C7")
async def test_the_systems_authorities_are_the_default(make_sender: MakeSender, authority: trustme.CA) -> None:
    async with receiving(tls=serving(authority.issue_cert("127.0.0.1"))) as receiver:
        outcome = await send(make_sender(), receiver.url)
        assert (outcome.result, receiver.received) == (Result.TLS_FAILED, 0)


async def test_plain_http_where_tls_was_expected(make_sender: MakeSender, trusting: ssl.SSLContext) -> None:
    sender = make_sender(tls=trusting)
    async with receiving() as receiver:
        outcome = await send(sender, receiver.url.replace("http://", "https://"), timeout=0.4)
        assert outcome.result in (Result.TLS_FAILED, Result.CONNECTION_LOST, Result.TIMED_OUT)
        assert receiver.requests == []


async def test_a_handshake_that_never_ends(make_sender: MakeSender, trusting: ssl.SSLContext) -> None:
    sender = make_sender(tls=trusting)
    async with receiving() as silent:  # it waits for a request's headers, which never come
        outcome = await send(sender, silent.url.replace("http://", "https://"), timeout=0.4)
        assert outcome.result is Result.TIMED_OUT
        await silent.until(lambda r: r.closed == 1)


@pytest.mark.case("C6")
def test_the_context(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    context = tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.keylog_filename is None
