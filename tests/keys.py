"""The master key of the tests' databases, with the mark that tests/canary.py looks for; and whom an API key lets in."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from hookpost_server.domain.api_key import Principal
from hookpost_server.domain.sealing import KeyRing
from hookpost_server.store.api_keys import ApiKeys
from hookpost_server.store.database import Database
from hookpost_server.store.known_keys import KnownKeys

MASTER_KEY = "CANARYCANARYdGVzdHMtb25seS10ZXN0cy1vbmx5LXQ="
RING = KeyRing.parse(MASTER_KEY)


@contextlib.asynccontextmanager
async def remembering(keys: ApiKeys, database: Database) -> AsyncIterator[KnownKeys]:
    """The keys as a server knows them."""
    known = KnownKeys(keys, database)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(known.run())
        yield known
        running.cancel()


async def let_in(database: Database, text: str) -> Principal | None:
    """Whom a server lets in that remembers nothing yet."""
    async with remembering(ApiKeys(database), database) as known:
        return await known.authenticate(text)
