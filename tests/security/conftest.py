"""Senders of each kind, receivers, databases, and a server that needs keys."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.delivery.conftest import (  # noqa: F401
    authority,
    database,
    deliveries,
    events,
    make_sender,
    open_database,
    other_sql,
    proxy,
    sender,
    shared_database_url,
    sql,
    suspensions,
    trusting,
    webhooks,
)
from tests.rpc.conftest import client, module_database_url, receiver, server  # noqa: F401
from tests.security.calling import Secured, securing


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def secured(module_database_url: str) -> AsyncIterator[Secured]:  # noqa: F811
    async with securing(module_database_url) as running:
        yield running
