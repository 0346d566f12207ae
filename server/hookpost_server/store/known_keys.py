"""What the hot path remembers of API keys: a call that is let in costs a look-up and a hash, and no SQL."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import structlog

from ..domain import api_key, errors
from ..domain.api_key import ApiKey, Principal
from .api_keys import ApiKeys
from .database import Database

REFRESH_INTERVAL = 1.5  # seconds between looks for keys that were revoked
STALE_AFTER = 4.5  # seconds; nobody is let in by what was read longer ago
FORGET_AFTER = 300.0  # seconds without use
LOOK_UP_TIMEOUT = 5.0  # seconds
MOST_WANTED = 1000  # unknown keys that wait to be looked up together

log = structlog.get_logger()


@dataclass(slots=True)
class _Entry:
    key: ApiKey
    principal: Principal
    checked: float  # monotonic
    used: float  # monotonic


class KnownKeys:
    """Lets callers in by what was read of their keys within STALE_AFTER.

    One query a REFRESH_INTERVAL checks all that were used of late; what is missing is loaded together.
    """

    def __init__(self, store: ApiKeys, database: Database) -> None:
        self._store = store
        self._database = database
        self._entries: dict[str, _Entry] = {}  # by the part of the text that names the key
        self._wanted: dict[UUID, asyncio.Future[ApiKey | None]] = {}
        self._asked = asyncio.Event()
        self._lasting: dict[UUID, set[asyncio.Timeout]] = {}

    async def authenticate(self, text: str) -> Principal | None:
        """Whom a key's text lets in; None: nobody. Raises DatabaseUnavailable, and BacklogFull when many ask."""
        if (entry := self._known(api_key.stem_of(text))) is not None:
            return entry.principal if api_key.opens(text, entry.key, self._database.now()) else None
        key_id = api_key.id_of(text)
        key = None if key_id is None else await self._loaded(key_id)
        return key.principal if api_key.opens(text, key, self._database.now()) and key else None

    async def still(self, key_id: UUID) -> Principal | None:
        """Whom a key that was shown before lets in now; None: nobody. Raises as `authenticate` does."""
        entry = self._known(api_key.stem(key_id))
        key = await self._loaded(key_id) if entry is None else entry.key
        return key.principal if key is not None and key.works(self._database.now()) else None

    def _known(self, stem: str) -> _Entry | None:
        """What was read within STALE_AFTER; asking is a use of it."""
        entry = self._entries.get(stem)
        now = time.monotonic()
        if entry is None or now - entry.checked >= STALE_AFTER:
            return None
        entry.used = now
        return entry

    async def _loaded(self, key_id: UUID) -> ApiKey | None:
        loading = self._wanted.get(key_id)
        if loading is None:
            if len(self._wanted) >= MOST_WANTED:
                raise errors.BacklogFull("too many API keys are being looked up")
            loading = self._wanted[key_id] = asyncio.get_running_loop().create_future()
            self._asked.set()
        try:
            async with asyncio.timeout(LOOK_UP_TIMEOUT):
                return await asyncio.shield(loading)
        except TimeoutError:
            raise errors.DatabaseUnavailable("API keys could not be read in time") from None

    @contextlib.asynccontextmanager
    async def lasting(self, principal: Principal) -> AsyncIterator[None]:
        """For calls that last: the block ends with Unauthenticated soon after the key has stopped working."""
        limits = self._lasting.setdefault(principal.id, set())
        try:
            async with asyncio.timeout(None) as limit:
                limits.add(limit)
                try:
                    yield
                finally:
                    limits.discard(limit)
                    if not limits:
                        self._lasting.pop(principal.id, None)
        except TimeoutError:
            if limit.expired():
                raise errors.Unauthenticated from None
            raise

    async def run(self) -> None:
        """Loads and refreshes until cancelled."""
        next_refresh = time.monotonic() + REFRESH_INTERVAL
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, next_refresh - time.monotonic())):
                    await self._asked.wait()
            self._asked.clear()
            if self._wanted:
                await self._load()
            if time.monotonic() >= next_refresh:
                await self._refresh()
                next_refresh = time.monotonic() + REFRESH_INTERVAL

    async def _load(self) -> None:
        wanted, self._wanted = self._wanted, {}
        now = time.monotonic()
        try:
            found = await self._store.get_many(list(wanted))
        except errors.DatabaseUnavailable as error:
            for future in wanted.values():
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # nobody may be waiting any more
            return
        for key_id, future in wanted.items():
            self._entries.pop(api_key.stem(key_id), None)
            if key := found.get(key_id):
                self._entries[api_key.stem(key_id)] = _Entry(key, key.principal, now, now)
            if not future.done():
                future.set_result(found.get(key_id))

    async def _refresh(self) -> None:
        now = time.monotonic()
        for each in self._entries.values():
            if each.key.id in self._lasting:
                each.used = now
        self._entries = {stem: each for stem, each in self._entries.items() if now - each.used < FORGET_AFTER}
        if not self._entries:
            return
        try:
            found = await self._store.get_many([each.key.id for each in self._entries.values()])
            await self._store.used([each.key.id for each in self._entries.values() if each.used >= each.checked])
        except errors.DatabaseUnavailable as error:
            log.warning("api_keys.refresh_failed", error=error.message)
            return
        self._entries = {stem: each for stem, each in self._entries.items() if each.key.id in found}
        for each in self._entries.values():
            each.key, each.checked = found[each.key.id], now
        self._end_lasting()

    def _end_lasting(self) -> None:
        now = asyncio.get_running_loop().time()
        for key_id, limits in self._lasting.items():
            entry = self._entries.get(api_key.stem(key_id))
            if entry is None or not entry.key.works(self._database.now()):
                for limit in limits:
                    if not limit.expired():  # told before, and still ending
                        limit.reschedule(now)
