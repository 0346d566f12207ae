"""Fixtures: one server with a console for a module's tests; for each test a tenant of its own, and its visitor."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio

from hookpost_server.config import Address
from tests.conftest import database_on
from tests.receiver import Receiver, receiving
from tests.rpc.serving import Client, Server, config, connected, serving

from .locked import Locked, locked
from .visitor import Visitor, visiting

ANY_PORT = Address("127.0.0.1", 0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_database_url(postgres_url: str, template_database: str) -> AsyncIterator[str]:
    name = f"hookpost_test_{uuid.uuid4().hex}"
    maintenance = await asyncpg.connect(postgres_url)
    try:
        await maintenance.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template_database}"')
        yield database_on(postgres_url, name)
        await maintenance.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await maintenance.close()


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
