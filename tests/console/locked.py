"""A server that wants keys, and the keys to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from hookpost_server.config import Address
from hookpost_server.domain.api_key import ALL_TENANTS, ApiKey, Scope
from hookpost_server.store.api_keys import ApiKeys
from hookpost_server.store.database import Database
from tests.rpc.serving import Server, config, serving

from .visitor import Page, Visitor


@dataclass
class Locked:
    """It, and what a test needs to make keys and to look behind the pages."""

    server: Server
    keys: ApiKeys
    database: Database
    database_url: str

    async def key(self, *scopes: Scope, tenant: str = ALL_TENANTS) -> tuple[ApiKey, str]:
        return await self.keys.create(tenant, "ann", scopes or (Scope.ADMIN,))

    async def sql(self, statement: str, *values: object) -> Any:
        connection = await asyncpg.connect(self.database_url)
        try:
            return await connection.fetchval(statement, *values)
        finally:
            await connection.close()


@asynccontextmanager
async def locked(database_url: str) -> AsyncIterator[Locked]:
    database = await Database.open(database_url, max_size=2)
    try:
        keys = ApiKeys(database)
        await keys.create(ALL_TENANTS, "first", [Scope.ADMIN])
        settings = config(database_url, console_address=Address("127.0.0.1", 0), auth="keys")
        async with serving(settings) as server:
            yield Locked(server, keys, database, database_url)
    finally:
        await database.close()


async def sign_in(visitor: Visitor, text: str, following: str = "/webhooks") -> Page:
    token = (await visitor.get("/sign-in")).hidden("csrf")
    return await visitor.send("/sign-in", {"csrf": token, "key": text, "next": following}, csrf=False, follow=True)
