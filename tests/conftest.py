"""PostgreSQL for the tests: one server a session (a worker, under xdist), one fresh database a test."""

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from hookpost_server.embedded import EmbeddedPostgres
from hookpost_server.store.database import Database
from hookpost_server.store.migrate import migrate
from hookpost_server.store.vault import Vault
from tests import canary
from tests.canary import pytest_runtest_makereport as pytest_runtest_makereport
from tests.keys import RING

# Tests lose nothing that matters in a power cut; everything else is as in production.
_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}


def pytest_configure() -> None:
    """Whatever a shell starts in the background ignores SIGINT, and so would all that tests start and interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The maintenance database of a server: an embedded one, or the one HOOKPOST_TEST_DATABASE_URL names."""
    given = os.environ.get("HOOKPOST_TEST_DATABASE_URL")
    if given:
        yield given
        return
    directory = Path(tempfile.mkdtemp(prefix="hookpost-tests-"))
    try:
        server = EmbeddedPostgres(directory, settings=_SETTINGS)
        try:
            yield asyncio.run(server.start())
        finally:
            asyncio.run(server.stop())
        assert canary.found((directory / "postgres.log").read_text()) == []
    finally:
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def template_database(postgres_url: str) -> Iterator[str]:
    """The name of a database with the project's migrations applied, to copy from; nobody stays connected to it."""
    name = f"hookpost_template_{uuid.uuid4().hex}"
    asyncio.run(_make_template(postgres_url, name))
    yield name
    asyncio.run(_execute(postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture
async def empty_database_url(postgres_url: str) -> AsyncIterator[str]:
    """A database without tables."""
    name = f"hookpost_empty_{uuid.uuid4().hex}"
    await _execute(postgres_url, f'CREATE DATABASE "{name}"')
    yield database_on(postgres_url, name)
    await _execute(postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
async def database_url(postgres_url: str, template_database: str) -> AsyncIterator[str]:
    """A database of the test's own with all tables, dropped afterwards whoever is still connected."""
    async with copied(postgres_url, template_database) as url:
        yield url


@contextlib.asynccontextmanager
async def copied(postgres_url: str, template: str) -> AsyncIterator[str]:
    """A copy of a database, which is looked through for secrets in plain at the end, and dropped."""
    name = f"hookpost_test_{uuid.uuid4().hex}"
    await _execute(postgres_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield database_on(postgres_url, name)
        await canary.search(database_on(postgres_url, name))
    finally:
        await _execute(postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)')


def database_on(url: str, name: str) -> str:
    """`url` with another database."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


async def _make_template(url: str, name: str) -> None:
    await _execute(url, f'CREATE DATABASE "{name}"')
    connection = await asyncpg.connect(database_on(url, name))
    try:
        await migrate(connection)
    finally:
        await connection.close()
    database = await Database.open(database_on(url, name), max_size=1)
    try:
        vault = Vault(database, RING)
        await vault.admit()
        await vault.seal_all()
    finally:
        await database.close()


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
