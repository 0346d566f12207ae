"""One server for the package, whose hex signature goes by the name that Logto's receivers look for."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.conftest import copied
from tests.receiver import Receiver, receiving
from tests.rpc.serving import Client, Server, config, connected, serving


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def logto_database_url(postgres_url: str, template_database: str) -> AsyncIterator[str]:
    async with copied(postgres_url, template_database) as url:
        yield url


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def server(logto_database_url: str) -> AsyncIterator[Server]:
    async with serving(config(logto_database_url, signature_header="logto-signature-sha-256")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="package")
async def client(server: Server) -> AsyncIterator[Client]:
    async with connected(server.address) as connection:
        yield connection


@pytest_asyncio.fixture(loop_scope="package")
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running
