"""The schema's history: `migrations/NNNN_name.sql`, numbered from 0001, each applied once and never changed after.

A file is one transaction. One whose first line is `-- no-transaction` is run statement by statement instead, for
CREATE INDEX CONCURRENTLY: each of its statements ends with `;` at the end of a line, and must bear being run again,
because what fails halfway stays half done.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import asyncpg

MIGRATIONS = Path(__file__).with_name("migrations")

# Advisory locks belong to a database; the number is arbitrary and must never change.
_LOCK = 0x686F_6F6B_706F_7374
_LOCK_SECONDS = 60.0
_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_NO_TRANSACTION = "-- no-transaction"

_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer     PRIMARY KEY,
    name       text        NOT NULL,
    sha256     text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""
_RECORD = "INSERT INTO schema_migrations (version, name, sha256) VALUES ($1, $2, $3)"
# A migration that waits for a lock stops every query behind it.
_BOUND = "SET LOCAL lock_timeout = '30s'"


class MigrationError(Exception):
    """The database stays as the last whole migration left it. `hint` says what a person can do about it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Migration:
    version: int
    name: str
    sql: str = field(repr=False)

    @property
    def sha256(self) -> str:
        return sha256(self.sql.encode()).hexdigest()

    @property
    def transactional(self) -> bool:
        return self.sql.partition("\n")[0].strip() != _NO_TRANSACTION

    def __str__(self) -> str:
        return f"{self.version:04}_{self.name}"


async def migrate(connection: asyncpg.Connection, directory: Path = MIGRATIONS) -> list[Migration]:
    """Applies what is missing and returns it. Several nodes may call this at once: one works, the others wait.

    Raises MigrationError on a failing migration, a gap, a changed or unknown one, or after 60 s of waiting.
    """
    migrations = load(directory)
    async with _alone(connection):
        await _create_table(connection)
        missing = _missing(migrations, await _applied(connection))
        for migration in missing:
            await _apply(connection, migration)
    return missing


async def pending(connection: asyncpg.Connection, directory: Path = MIGRATIONS) -> list[Migration]:
    """What `migrate` would apply. Changes nothing and waits for nobody; raises MigrationError as `migrate` does."""
    migrations = load(directory)
    if await connection.fetchval("SELECT to_regclass('schema_migrations') IS NULL"):
        return migrations
    return _missing(migrations, await _applied(connection))


def load(directory: Path = MIGRATIONS) -> list[Migration]:
    """In order of version. Raises MigrationError when a name is malformed or a number missing or given twice."""
    migrations = []
    for path in sorted(directory.glob("*.sql")):
        name = _FILE_NAME.fullmatch(path.name)
        if not name:
            raise MigrationError(f"{path.name} is no migration's name.", "Name it like 0002_add_labels.sql.")
        migrations.append(Migration(int(name[1]), name[2], path.read_text(encoding="utf-8")))
    for expected, migration in enumerate(migrations, start=1):
        if migration.version != expected:
            raise MigrationError(
                f"Migration {migration} stands where {expected:04} is expected.",
                "Number the migrations from 0001, without gaps and each number once.",
            )
    return migrations


def _missing(migrations: Sequence[Migration], applied: Mapping[int, str]) -> list[Migration]:
    newer = [version for version in applied if version > len(migrations)]
    if newer:
        raise MigrationError(
            f"The database was migrated by a newer Hookpost: it is at migration {max(newer):04}, "
            f"and this version knows {len(migrations):04}.",
            "Install that newer version, or restore the backup made before the upgrade.",
        )
    for migration in migrations[: len(applied)]:
        if applied.get(migration.version) != migration.sha256:
            raise MigrationError(
                f"Migration {migration} is not the one the database was migrated with.",
                "Restore the file as it was released, and put the change into a new migration.",
            )
    return list(migrations[len(applied) :])


async def _create_table(connection: asyncpg.Connection) -> None:
    try:
        await connection.execute(_TABLE)
    except asyncpg.InsufficientPrivilegeError as error:
        raise MigrationError(
            f"The database account may not create tables: {error}",
            "Make it the owner of the database, or GRANT it CREATE on the schema.",
        ) from error


async def _applied(connection: asyncpg.Connection) -> dict[int, str]:
    rows = await connection.fetch("SELECT version, sha256 FROM schema_migrations ORDER BY version")
    return {row["version"]: row["sha256"] for row in rows}


async def _apply(connection: asyncpg.Connection, migration: Migration) -> None:
    try:
        if migration.transactional:
            async with connection.transaction():
                await connection.execute(_BOUND)
                await connection.execute(migration.sql)
                await connection.execute(_RECORD, migration.version, migration.name, migration.sha256)
        else:
            for statement in _statements(migration.sql):
                await connection.execute(statement)
            await connection.execute(_RECORD, migration.version, migration.name, migration.sha256)
    except asyncpg.PostgresError as error:
        state = "was undone" if migration.transactional else "may be half done"
        raise MigrationError(
            f"Migration {migration} failed{_line(migration, error)} and {state}: {error}",
            "Correct the cause and start again; the migrations before it stay applied.",
        ) from error


def _statements(sql: str) -> list[str]:
    """Those with something besides comments in them: asyncpg stumbles over a query of nothing."""
    parts = re.split(r"(?<=;)[ \t]*\n", sql)
    return [part for part in parts if re.sub(r"--[^\n]*", "", part).strip()]


def _line(migration: Migration, error: asyncpg.PostgresError) -> str:
    """PostgreSQL counts characters from the start of what it was sent: the file, unless run by statement."""
    if not migration.transactional or not error.position:
        return ""
    line = migration.sql.count("\n", 0, int(error.position)) + 1
    return f" at line {line}"


@asynccontextmanager
async def _alone(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """One migrator at a time.

    Asks again and again rather than waiting inside PostgreSQL: a waiter's open snapshot there would make a
    CREATE INDEX CONCURRENTLY of the lock's holder wait for it in turn.
    """
    give_up = time.monotonic() + _LOCK_SECONDS
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
        if time.monotonic() > give_up:
            raise MigrationError(
                f"Another Hookpost has been migrating the database for more than {_LOCK_SECONDS:.0f} s.",
                "Wait until it has finished, then start again.",
            )
        await asyncio.sleep(0.1)
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.fetchval("SELECT pg_advisory_unlock($1)", _LOCK)
