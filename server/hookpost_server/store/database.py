"""The pool, the clock, and PostgreSQL's errors in the trade's words."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg

from ..domain import errors

POOL = 10  # connections
EDGE_SHARE = 6  # of them for calls; the rest is always there for emits, claims and outcomes
ACQUIRE_TIMEOUT = 5.0  # seconds until a caller is told that the database is busy
STATEMENT_TIMEOUT = 30.0  # seconds; the server's own bound is a little longer
LOCK_TIMEOUT = 3.0  # seconds

# What passes by itself: lost and refused connections, restarts, failovers, overload, a full disk, locks.
TRANSIENT: tuple[type[BaseException], ...] = (
    OSError,  # connection refused, reset; TimeoutError too
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,  # shutdown, cannot connect now, query cancelled
    asyncpg.InsufficientResourcesError,  # too many connections, disk full, out of memory
    asyncpg.TransactionRollbackError,  # deadlock, serialization
    asyncpg.LockNotAvailableError,
    asyncpg.ObjectNotInPrerequisiteStateError,  # the database takes no connections for now
    asyncpg.ReadOnlySQLTransactionError,  # a primary that became a standby
    asyncpg.InvalidCachedStatementError,  # right after a migration
)

# For statements that reach rows by key only. A plan made while a partition was empty scans it for ever, and a table
# never analysed is joined by hash; neither can happen with these off. For a statement, not a connection: the emit
# statement is slower with them.
BY_KEY = """
    set local enable_seqscan = off;
    set local enable_hashjoin = off;
    set local enable_mergejoin = off;
"""


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turns PostgreSQL's passing troubles into DatabaseUnavailable; what is left is a bug."""
    try:
        yield
    except TRANSIENT as error:
        raise errors.DatabaseUnavailable(f"the database did not answer ({type(error).__name__})") from error


@dataclass(slots=True)
class _Clock:
    ahead: float = 0.0  # seconds from this host's monotonic clock to the database's


class Database:
    """A pool with bounds on every wait, and the database's clock."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool
        self._share: asyncio.Semaphore | None = None
        self._clock = _Clock()

    @classmethod
    async def open(cls, url: str, *, max_size: int = POOL) -> Database:
        """Connects. Raises asyncpg's and the operating system's errors as they are."""
        pool = await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=max_size,
            timeout=10,
            command_timeout=STATEMENT_TIMEOUT,
            server_settings={
                "application_name": "hookpost",
                "statement_timeout": str(int((STATEMENT_TIMEOUT + 5) * 1000)),
                "lock_timeout": str(int(LOCK_TIMEOUT * 1000)),
                "idle_in_transaction_session_timeout": "60000",
                "jit": "off",
                "timezone": "UTC",
            },
        )
        database = cls(pool)
        await database.set_clock()
        return database

    def for_edge(self) -> Database:
        """The same pool for calls, which get at most EDGE_SHARE of it at once: however many come, deliveries go on."""
        edge = Database(self._pool)
        edge._share = asyncio.Semaphore(EDGE_SHARE)
        edge._clock = self._clock
        return edge

    async def close(self) -> None:
        """Waits for connections in use, at most 10 s, then drops them."""
        try:
            async with asyncpg.compat.timeout(10):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """One connection, statements each in a transaction of its own."""
        with translated():
            async with self._turn(), self._pool.acquire(timeout=ACQUIRE_TIMEOUT) as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Waits until this share of the pool has a connection to spare."""
        if self._share is None:
            yield
            return
        async with asyncio.timeout(ACQUIRE_TIMEOUT):
            await self._share.acquire()
        try:
            yield
        finally:
            self._share.release()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """One connection in one transaction."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    @contextlib.asynccontextmanager
    async def by_key(self) -> AsyncIterator[Any]:
        """A transaction whose statements reach their rows by key, whatever the statistics say; see BY_KEY."""
        async with self.transaction() as connection:
            await connection.execute(BY_KEY)
            yield connection

    def now(self) -> float:
        """Unix seconds by the database's clock, as last compared; a step of this host's clock changes nothing."""
        return time.monotonic() + self._clock.ahead

    async def set_clock(self) -> float:
        """Compares the clocks; returns how far the host's is off, in seconds. Good to half a round trip."""
        async with self.connection() as connection:
            before = time.monotonic()
            there = await connection.fetchval("select extract(epoch from clock_timestamp())::float8")
            self._clock.ahead = there - (before + time.monotonic()) / 2
        return self.now() - time.time()

    async def healthy(self) -> bool:
        """Whether the database answers."""
        try:
            async with self.connection() as connection:
                await connection.fetchval("select 1", timeout=1)
        except errors.DatabaseUnavailable:
            return False
        return True
