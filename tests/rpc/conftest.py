"""Fixtures: one server for a module's tests, and for each test a tenant of its own and a receiver."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.conftest import copied
from tests.receiver import Receiver, receiving
from tests.rpc.serving import Client, Server, config, connected, serving


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_database_url(postgres_url: str, template_database: str) -> AsyncIterator[str]:
    async with copied(postgres_url, template_database) as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(module_database_url: str) -> AsyncIterator[Server]:
    async with serving(config(module_database_url)) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def client(server: Server) -> AsyncIterator[Client]:
    async with connected(server.address) as connection:
        yield connection


@pytest_asyncio.fixture(loop_scope="module")
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running
