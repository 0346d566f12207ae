"""Senders and receivers. The database's fixtures are those of the store's tests."""

from __future__ import annotations

import contextlib
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trustme

from hookpost_server.delivery.aiohttp_sender import AiohttpSender
from hookpost_server.delivery.curl_sender import CurlSender
from hookpost_server.delivery.gate import Gate
from hookpost_server.delivery.native_sender import NativeSender
from hookpost_server.delivery.sender import Sender
from hookpost_server.domain.addresses import AddressPolicy
from tests.store.conftest import (  # noqa: F401
    database,
    deliveries,
    events,
    open_database,
    other_sql,
    proxy,
    shared_database_url,
    sql,
    suspensions,
    webhooks,
)

LOCAL = AddressPolicy(allow=(ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")))
SENDERS: dict[str, Callable[..., Sender]] = {"native": NativeSender, "aiohttp": AiohttpSender, "curl": CurlSender}

MakeSender = Callable[..., Sender]


@pytest.fixture(params=SENDERS)
async def make_sender(request: pytest.FixtureRequest) -> AsyncIterator[MakeSender]:
    """Makes senders of each kind: the conformance tests are run with all of them."""
    async with contextlib.AsyncExitStack() as stack:

        def make(policy: AddressPolicy = LOCAL, *, tls: ssl.SSLContext | None = None, **gate: Any) -> Sender:
            sender = SENDERS[request.param](Gate(policy, **gate), tls=tls)
            stack.push_async_callback(sender.close)
            return sender

        yield make


@pytest.fixture
async def sender(make_sender: MakeSender) -> Sender:
    """One that may reach this machine."""
    return make_sender()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority of the tests' own."""
    return trustme.CA()


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """A client's context as in production, which trusts the tests' authority instead of the system's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    authority.configure_trust(context)
    return context
