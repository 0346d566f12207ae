"""A server that needs keys, for a module's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.rpc.conftest import client, module_database_url, receiver, server  # noqa: F401  (fixtures)
from tests.security.calling import Secured, securing


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def secured(module_database_url: str) -> AsyncIterator[Secured]:  # noqa: F811
    async with securing(module_database_url) as running:
        yield running
