"""A server that needs keys, for a module's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest_asyncio

from hookpost_server.domain.api_key import ALL_TENANTS, Scope
from hookpost_server.store.api_keys import ApiKeys
from hookpost_server.store.database import Database
from tests.rpc.conftest import client, module_database_url, receiver, server  # noqa: F401  (fixtures)
from tests.rpc.serving import config, serving
from tests.security.calling import Secured


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def secured(module_database_url: str) -> AsyncIterator[Secured]:  # noqa: F811
    database = await Database.open(module_database_url, max_size=2)
    keys = ApiKeys(database)
    await keys.create(ALL_TENANTS, "the first", [Scope.ADMIN])
    async with (
        serving(config(module_database_url, auth="keys")) as running,
        grpc.aio.insecure_channel(str(running.address)) as channel,
    ):
        yield Secured(running.address, module_database_url, keys, channel)
    await database.close()
