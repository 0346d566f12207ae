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

# A plan made while a partition was empty scans it for ever, and a table never analysed is joined by hash; neither can
# happen with these off. For statements that reach rows by key only, and for a statement, not a connection: the emit
# statement is slower with them.
_BY_KEY = """
    set local enable_seqscan = off;
    set local enable_hashjoin = off;
    set local enable_mergejoin = off;
"""
BY_KEY = _BY_KEY + "set local plan_cache_mode = auto;"
# For statements that join the rows of a list of ids, `id = any(…)`, with what else is known of them: the rows are found
# by the list, then joined by hash. While statistics are poor a nested loop would go through the list, or the whole
# partition, once for each row. Such statements compare `state + 0`: the index of pending rows must not look like a way
# to them.
BY_IDS = """
    set local enable_seqscan = off;
    set local enable_nestloop = off;
    set local enable_mergejoin = off;
"""
# For reads of ranges: what a page costs depends on the range, so it is planned each time.
BY_RANGE = _BY_KEY + "set local plan_cache_mode = force_custom_plan;"


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turns PostgreSQL's passing troubles into DatabaseUnavailable; what is left is a bug."""
    try:
        yield
    except TRANSIENT as error:
        raise errors.DatabaseUnavailable(f"the database did not answer ({type(error).__name__})") from error


@contextlib.asynccontextmanager
async def planned(connection: asyncpg.Connection, switches: str = BY_KEY) -> AsyncIterator[None]:
    """A transaction on a connection that is held already, as Database.by_key and its like."""
    async with connection.transaction():
        await connection.execute(switches)
        yield


async def _as_it_is(connection: asyncpg.Connection) -> None:
    """What a connection needs before the next one gets it: nothing. Nobody changes its session, but for `session`.

    asyncpg's own way asks the server to forget what it was never told, which costs a round trip for each statement.
    """


@dataclass(frozen=True, slots=True)
class Usage:
    """The pool at a moment."""

    idle: int  # connections
    used: int
    waiting: int  # callers without one
    limit: int  # connections


@dataclass(slots=True)
class _Common:
    """What all users of a pool share."""

    ahead: float = 0.0  # seconds from this host's monotonic clock to the database's
    borrowers: int = 0  # who have a connection or wait for one


class Database:
    """A pool with bounds on every wait, and the database's clock."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool
        self._share: asyncio.Semaphore | None = None
        self._common = _Common()

    @classmethod
    async def open(cls, url: str, *, max_size: int = POOL) -> Database:
        """Connects. Raises asyncpg's and the operating system's errors as they are."""
        pool = await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=max_size,
            timeout=10,
            command_timeout=STATEMENT_TIMEOUT,
            reset=_as_it_is,
            server_settings={
                "application_name": "hookpost",
                "statement_timeout": str(int((STATEMENT_TIMEOUT + 5) * 1000)),
                "lock_timeout": str(int(LOCK_TIMEOUT * 1000)),
                "idle_in_transaction_session_timeout": "60000",
                "jit": "off",
                # A statement is planned once, not each time: emit and record would pay for that what thirty of their
                # rows cost. Reads with optional conditions, which profit, say otherwise (BY_KEY, BY_RANGE).
                "plan_cache_mode": "force_generic_plan",
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
        edge._common = self._common
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
        self._common.borrowers += 1
        try:
            with translated():
                async with self._turn(), self._pool.acquire(timeout=ACQUIRE_TIMEOUT) as connection:
                    yield connection
        finally:
            self._common.borrowers -= 1

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Any]:
        """One connection whose session may be changed, by locks that outlive a transaction: it is not used again."""
        async with self.connection() as connection:
            try:
                yield connection
            finally:
                connection.terminate()

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
    async def snapshot(self) -> AsyncIterator[Any]:
        """One connection that only reads; all its statements see the same moment."""
        async with (
            self.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection

    def by_key(self) -> contextlib.AbstractAsyncContextManager[Any]:
        """A transaction whose statements reach their rows by key, whatever the statistics say; see BY_KEY."""
        return self._planned(BY_KEY)

    def at_one_moment(self) -> contextlib.AbstractAsyncContextManager[Any]:
        """As `by_key`, for reads in several statements that are to see the same."""
        return self._planned("set transaction isolation level repeatable read, read only;" + BY_KEY)

    def by_ids(self) -> contextlib.AbstractAsyncContextManager[Any]:
        """A transaction for a statement on a list of ids; see BY_IDS."""
        return self._planned(BY_IDS)

    def by_range(self) -> contextlib.AbstractAsyncContextManager[Any]:
        """A transaction for reading ranges page by page; see BY_RANGE."""
        return self._planned(BY_RANGE)

    @contextlib.asynccontextmanager
    async def _planned(self, switches: str) -> AsyncIterator[Any]:
        """As `planned`, a round trip shorter."""
        async with self.connection() as connection:
            await connection.execute("BEGIN;" + switches)
            try:
                yield connection
            except BaseException:
                with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                    await connection.execute("ROLLBACK;")
                raise
            await connection.execute("COMMIT;")

    def usage(self) -> Usage:
        """How busy the pool is."""
        size, idle = self._pool.get_size(), self._pool.get_idle_size()
        return Usage(idle, size - idle, max(0, self._common.borrowers - (size - idle)), self._pool.get_max_size())

    def now(self) -> float:
        """Unix seconds by the database's clock, as last compared; a step of this host's clock changes nothing."""
        return time.monotonic() + self._common.ahead

    async def set_clock(self) -> float:
        """Compares the clocks; returns how far the host's is off, in seconds. Good to half a round trip."""
        async with self.connection() as connection:
            before = time.monotonic()
            there = await connection.fetchval("select extract(epoch from clock_timestamp())::float8")
            self._common.ahead = there - (before + time.monotonic()) / 2
        return self.now() - time.time()

    async def healthy(self) -> bool:
        """Whether the database answers."""
        try:
            async with self.connection() as connection:
                await connection.fetchval("select 1", timeout=1)
        except errors.DatabaseUnavailable:
            return False
        return True
