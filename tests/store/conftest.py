"""A database with partitions and the built-in event types, emptied for each test, and the stores on it.

Making a database takes longer than most tests; those that need one of their own ask for `database_url`.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import asyncpg
import pytest

from hookpost_server.store.database import Database
from hookpost_server.store.deliveries import Deliveries
from hookpost_server.store.event_types import EventTypes
from hookpost_server.store.events import Events
from hookpost_server.store.partitions import Partitions
from hookpost_server.store.suspensions import Suspensions
from hookpost_server.store.webhooks import Webhooks
from tests import canary
from tests.conftest import database_on
from tests.faults.proxy import Proxy
from tests.keys import RING

LEASE = 45.0  # seconds
EMPTY = """
    do $$ declare name text; begin
        perform set_config('hookpost.retention', 'on', true);  -- for the audit log, which lets nobody else delete
        for name in
            select relname from pg_class
            where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition
              and relname not in ('schema_migrations', 'master_keys')
        loop execute format('delete from %I', name); end loop;
    end $$
"""

OpenDatabase = Callable[..., Awaitable[Database]]


@pytest.fixture(scope="session")
def shared_database_url(postgres_url: str, template_database: str) -> Iterator[str]:
    """A migrated database for many tests."""

    async def execute(statement: str) -> None:
        connection = await asyncpg.connect(postgres_url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    name = f"hookpost_shared_{uuid.uuid4().hex}"
    asyncio.run(execute(f'create database "{name}" template "{template_database}"'))
    yield database_on(postgres_url, name)
    asyncio.run(execute(f'drop database "{name}" with (force)'))


@pytest.fixture
async def open_database(shared_database_url: str) -> AsyncIterator[OpenDatabase]:
    """Opens pools, on the shared database if no other is named."""
    async with contextlib.AsyncExitStack() as stack:

        async def open_one(max_size: int = 10, url: str = shared_database_url) -> Database:
            database = await Database.open(url, max_size=max_size)
            stack.push_async_callback(database.close)
            return database

        yield open_one


@pytest.fixture
async def database(open_database: OpenDatabase, shared_database_url: str) -> AsyncIterator[Database]:
    """Empty, and ready for events."""
    database = await open_database()
    async with database.connection() as connection:
        await connection.execute(EMPTY)
    await Partitions(database).make()
    await EventTypes(database).seed()
    yield database
    await canary.search(shared_database_url)


@pytest.fixture
async def proxy(shared_database_url: str, database: Database) -> AsyncIterator[Proxy]:
    """A way to the shared database that can be cut."""
    proxy = Proxy(shared_database_url)
    await proxy.open()
    yield proxy
    await proxy.close()


@pytest.fixture
async def sql(shared_database_url: str, database: Database) -> AsyncIterator[asyncpg.Connection]:
    """A connection beside the pool, to look and to meddle."""
    connection = await asyncpg.connect(shared_database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def other_sql(shared_database_url: str, database: Database) -> AsyncIterator[asyncpg.Connection]:
    """A second one."""
    connection = await asyncpg.connect(shared_database_url)
    yield connection
    await connection.close()


@pytest.fixture
def suspensions(database: Database, events: Events) -> Suspensions:
    return Suspensions(database, events)


@pytest.fixture
def webhooks(database: Database) -> Webhooks:
    return Webhooks(database, RING)


@pytest.fixture
def events(database: Database) -> Events:
    return Events(database, lease=LEASE)


@pytest.fixture
def deliveries(database: Database) -> Deliveries:
    return Deliveries(database, lease=LEASE)


@pytest.fixture
def event_types(database: Database) -> EventTypes:
    return EventTypes(database)
