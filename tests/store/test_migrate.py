"""The migration runner, on a real PostgreSQL with migrations made up here; and the project's own, once."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import asyncpg
import pytest

from hookpost_server.domain import ids
from hookpost_server.store import migrate as runner
from hookpost_server.store.migrate import MIGRATIONS, Migration, MigrationError, load, migrate, pending
from hookpost_server.store.partitions import attach, name_of

FIRST = "CREATE TABLE first (id integer PRIMARY KEY);\nINSERT INTO first VALUES (1);\n"
SECOND = "ALTER TABLE first ADD COLUMN label text NOT NULL DEFAULT 'none';\n"


@pytest.fixture
async def connection(empty_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(empty_database_url)
    yield connection
    await connection.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "0001_first.sql").write_text(FIRST)
    (tmp_path / "0002_label.sql").write_text(SECOND)
    return tmp_path


def names(migrations: list[Migration]) -> list[str]:
    return [str(migration) for migration in migrations]


async def versions(connection: asyncpg.Connection) -> list[int]:
    return [row["version"] for row in await connection.fetch("SELECT version FROM schema_migrations ORDER BY 1")]


async def test_each_migration_is_applied_once(connection: asyncpg.Connection, directory: Path) -> None:
    assert names(await pending(connection, directory)) == ["0001_first", "0002_label"]
    assert names(await migrate(connection, directory)) == ["0001_first", "0002_label"]
    assert await pending(connection, directory) == []
    assert await migrate(connection, directory) == []
    assert await connection.fetchval("SELECT label FROM first") == "none"
    recorded = await connection.fetch("SELECT * FROM schema_migrations ORDER BY version")
    assert [(row["name"], row["sha256"]) for row in recorded] == [(m.name, m.sha256) for m in load(directory)]


async def test_pending_changes_nothing(connection: asyncpg.Connection, directory: Path) -> None:
    await pending(connection, directory)
    assert await connection.fetchval("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == 0


async def test_a_later_migration_is_added(connection: asyncpg.Connection, directory: Path) -> None:
    await migrate(connection, directory)
    (directory / "0003_more.sql").write_text("CREATE TABLE more ();")
    assert names(await migrate(connection, directory)) == ["0003_more"]


async def test_an_empty_directory_is_fine(connection: asyncpg.Connection, tmp_path: Path) -> None:
    assert await migrate(connection, tmp_path) == []


async def test_two_runners_at_once_apply_each_once(empty_database_url: str, directory: Path) -> None:
    # Long enough for the other to come in between, were it let in.
    (directory / "0003_slow.sql").write_text("SELECT pg_sleep(0.3); CREATE TABLE slow ();")
    connections = [await asyncpg.connect(empty_database_url) for _ in range(4)]
    try:
        applied = await asyncio.gather(*(migrate(connection, directory) for connection in connections))
        assert sorted(name for each in applied for name in names(each)) == ["0001_first", "0002_label", "0003_slow"]
        locks = await connections[0].fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
        assert locks == 0
    finally:
        for connection in connections:
            await connection.close()


async def test_waiting_for_another_runner_ends(
    empty_database_url: str, connection: asyncpg.Connection, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_LOCK_SECONDS", 0.2)
    other = await asyncpg.connect(empty_database_url)
    try:
        await other.execute(f"SELECT pg_advisory_lock({runner._LOCK})")
        with pytest.raises(MigrationError, match="Another Hookpost"):
            await migrate(connection, directory)
    finally:
        await other.close()


async def test_a_changed_migration_is_refused(connection: asyncpg.Connection, directory: Path) -> None:
    await migrate(connection, directory)
    (directory / "0001_first.sql").write_text(FIRST + "-- a harmless comment\n")
    for act in (migrate, pending):
        with pytest.raises(MigrationError, match="0001_first is not the one") as caught:
            await act(connection, directory)
        assert "new migration" in caught.value.hint


async def test_line_endings_do_not_count_as_a_change(connection: asyncpg.Connection, directory: Path) -> None:
    await migrate(connection, directory)
    (directory / "0001_first.sql").write_bytes(FIRST.replace("\n", "\r\n").encode())
    assert await migrate(connection, directory) == []


async def test_a_newer_database_is_refused(connection: asyncpg.Connection, directory: Path) -> None:
    await migrate(connection, directory)
    (directory / "0002_label.sql").unlink()
    for act in (migrate, pending):
        with pytest.raises(MigrationError, match="migrated by a newer Hookpost: it is at migration 0002"):
            await act(connection, directory)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("0004_gap.sql", "0004_gap stands where 0003"),
        ("0002_twice.sql", "0002_twice stands where 0003"),
        ("0000_zero.sql", "0000_zero stands where 0001"),
        ("3_short.sql", "3_short.sql is no migration's name"),
        ("0003-Dash.sql", "0003-Dash.sql is no migration's name"),
    ],
)
def test_a_malformed_series_is_refused(directory: Path, name: str, said: str) -> None:
    (directory / name).write_text("SELECT 1;")
    with pytest.raises(MigrationError, match=said):
        load(directory)


async def test_a_failing_migration_leaves_nothing_half_done(connection: asyncpg.Connection, directory: Path) -> None:
    broken = directory / "0003_broken.sql"
    broken.write_text("CREATE TABLE half ();\n\nINSERT INTO first (nowhere) VALUES (2);\n")
    with pytest.raises(MigrationError, match=r"0003_broken failed at line 3 and was undone: .*nowhere"):
        await migrate(connection, directory)
    assert await versions(connection) == [1, 2]
    assert await connection.fetchval("SELECT to_regclass('half')") is None
    broken.write_text("CREATE TABLE half ();\n")
    assert names(await migrate(connection, directory)) == ["0003_broken"]


async def test_a_migration_and_its_record_are_one(connection: asyncpg.Connection, directory: Path) -> None:
    (directory / "0003_forged.sql").write_text(
        "CREATE TABLE half ();\nINSERT INTO schema_migrations VALUES (3, 'forged', '');\n"
    )
    with pytest.raises(MigrationError, match="was undone"):
        await migrate(connection, directory)
    assert await versions(connection) == [1, 2]
    assert await connection.fetchval("SELECT to_regclass('half')") is None


async def test_without_transaction(connection: asyncpg.Connection, directory: Path) -> None:
    (directory / "0003_index.sql").write_text(
        "-- no-transaction\n"
        "DROP INDEX CONCURRENTLY IF EXISTS first_label;\n"
        "CREATE INDEX CONCURRENTLY first_label\n    ON first (label);\n"
    )
    assert names(await migrate(connection, directory)) == ["0001_first", "0002_label", "0003_index"]
    assert await connection.fetchval("SELECT indisvalid FROM pg_index WHERE indexrelid = 'first_label'::regclass")


async def test_a_failure_without_transaction_can_be_repeated(connection: asyncpg.Connection, directory: Path) -> None:
    later = directory / "0003_index.sql"
    later.write_text("-- no-transaction\nCREATE TABLE IF NOT EXISTS kept ();\nSELECT 1/0;\n")
    with pytest.raises(MigrationError, match="may be half done"):
        await migrate(connection, directory)
    assert await versions(connection) == [1, 2]
    later.write_text("-- no-transaction\nCREATE TABLE IF NOT EXISTS kept ();\n")
    assert names(await migrate(connection, directory)) == ["0003_index"]


async def test_an_account_without_rights_is_told_so(connection: asyncpg.Connection, directory: Path) -> None:
    await connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    await connection.execute("SET ROLE pg_read_all_stats")
    with pytest.raises(MigrationError, match="may not create tables"):
        await migrate(connection, directory)


async def test_the_projects_own_migrations_are_applied(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        assert await pending(connection) == []
    finally:
        await connection.close()


INDEXES = "select indexdef from pg_indexes where tablename = $1 order by indexdef"


async def test_days_that_are_there_already_have_the_indexes_of_new_ones(
    connection: asyncpg.Connection, tmp_path: Path
) -> None:
    """Deliveries of before 0013 with rows in them."""
    for path in sorted(MIGRATIONS.glob("*.sql"))[:12]:
        shutil.copy(path, tmp_path)
    assert len(await migrate(connection, tmp_path)) == 12
    for day, state in ((date(2026, 1, 1), 1), (date(2026, 1, 2), 2)):
        await connection.execute(f"create table {name_of('deliveries', day)} (like deliveries including all)")
        await attach(connection, "deliveries", day)
        await connection.execute(
            """
            insert into deliveries (tenant_id, id, event_id, webhook_id, type, due_at, state, finish_time)
            select 't', $1, $1, $1, 'A', now(), $2::smallint, case when $2 > 1 then now() end
            """,
            ids.of_day(day)[0],
            state,
        )
    await migrate(connection)
    await connection.execute("create table later (like deliveries including all)")
    wanted = [re.sub(r"^.* USING", "", row[0]) for row in await connection.fetch(INDEXES, "later")]
    assert len(wanted) == 5
    for day in (date(2026, 1, 1), date(2026, 1, 2)):
        found = await connection.fetch(INDEXES, name_of("deliveries", day))
        assert sorted(re.sub(r"^.* USING", "", row[0]) for row in found) == sorted(wanted)
    assert await connection.fetchval("select count(*) from deliveries") == 2
