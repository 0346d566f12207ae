"""Fixtures: one server with a console for a module's tests; for each test a tenant of its own, and its visitor."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from hookpost_server.config import Address
from tests.conftest import copied
from tests.receiver import Receiver, receiving
from tests.rpc.serving import Client, Server, config, connected, serving

from .locked import Locked, locked
from .visitor import Visitor, visiting

ANY_PORT = Address("127.0.0.1", 0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_database_url(postgres_url: str, template_database: str) -> AsyncIterator[str]:
    async with copied(postgres_url, template_database) as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(module_database_url: str) -> AsyncIterator[Server]:
    async with serving(config(module_database_url, console_address=ANY_PORT)) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def client(server: Server) -> AsyncIterator[Client]:
    async with connected(server.address) as connection:
        yield connection


@pytest_asyncio.fixture(loop_scope="module")
async def visitor(server: Server) -> AsyncIterator[Visitor]:
    async with visiting(server.console_address) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(module_database_url: str) -> AsyncIterator[Locked]:
    async with locked(module_database_url) as running:
        yield running
