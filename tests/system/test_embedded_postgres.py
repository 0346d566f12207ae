"""The embedded PostgreSQL against the real one: what happens when processes die and directories are not as hoped.

As root, pytest's temporary directories are closed to other accounts, so most tests here prove along the way that
PostgreSQL runs in a directory whose parents its account cannot enter.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncpg
import pytest

from hookpost_server.embedded import EmbeddedPostgres, EmbeddedPostgresError, account, binaries, postmaster, process

pytestmark = pytest.mark.system

ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="needs root")
NOBODY = 65534

# An application that starts the server, says so, and lives until it is told to end or killed.
APPLICATION = """
import asyncio, signal, sys
from pathlib import Path
from hookpost_server.embedded import EmbeddedPostgres

async def main():
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    server = EmbeddedPostgres(Path(sys.argv[1]))
    print(await server.start(), server.pid, flush=True)
    await told.wait()
    await server.stop()

asyncio.run(main())
"""


@contextmanager
def application(directory: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", APPLICATION, str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as app:
        try:
            yield app
        finally:
            app.terminate()


def started(app: subprocess.Popen[str]) -> tuple[str, int]:
    assert app.stdout
    url, pid = app.stdout.readline().split()
    return url, int(pid)


def alive(pid: int) -> bool:
    """A zombie is dead: whether it was reaped is its parent's affair."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


async def eventually(condition: Callable[[], object], within: float = 30.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within} s"
        await asyncio.sleep(0.01)


async def add_row(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (id serial)")
        await connection.execute("INSERT INTO kept DEFAULT VALUES")
    finally:
        await connection.close()


async def count_rows(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM kept"))
    finally:
        await connection.close()


async def refused(directory: Path) -> EmbeddedPostgresError:
    server = EmbeddedPostgres(directory)
    with pytest.raises(EmbeddedPostgresError) as caught:
        await server.start()
    assert server.pid is None
    assert caught.value.hint
    return caught.value


def socket_directory(url: str) -> Path:
    return Path(url.partition("host=")[2].partition("&")[0])


async def test_data_is_kept_between_runs_and_nothing_else_is_left(tmp_path: Path) -> None:
    directory = tmp_path / "not" / "yet" / "there"
    server = EmbeddedPostgres(directory, settings={"work_mem": "9MB"})
    url = await server.start()
    pid = server.pid
    assert pid
    assert alive(pid)
    await add_row(url)
    connection = await asyncpg.connect(url)
    expected = {
        "work_mem": "9MB",
        "listen_addresses": "",
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "server_encoding": "UTF8",
    }
    assert {name: await connection.fetchval(f"SHOW {name}") for name in expected} == expected
    await connection.close()
    assert socket_directory(url).stat().st_mode & 0o777 == 0o700
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(server.wait(), 0.01)
    still = server.pid
    assert still == pid, "one who stops waiting does not end it for others"
    waiter = asyncio.create_task(server.wait())
    await server.stop()
    await server.stop()
    assert await waiter == 0
    assert server.pid is None
    assert not alive(pid)
    assert not socket_directory(url).exists()

    async with EmbeddedPostgres(directory) as url:
        assert await count_rows(url) == 1
    assert {path.name for path in directory.iterdir()} == {"data", "hookpost.lock", "postgres.log", "postgres.log.1"}


async def test_the_same_object_starts_again(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path)
    await add_row(await server.start())
    with pytest.raises(EmbeddedPostgresError, match="started already"):
        await server.start()
    assert server.pid
    await server.stop()
    assert await count_rows(await server.start()) == 1
    await server.stop()


async def test_a_second_application_on_the_directory_is_refused(tmp_path: Path) -> None:
    with application(tmp_path) as app:
        url, _ = started(app)
        error = await refused(tmp_path)
        assert f"in use by another Hookpost (process {app.pid})" in str(error)
        await add_row(url)  # the first is unharmed


async def test_a_lock_file_without_a_holder_blocks_nobody(tmp_path: Path) -> None:
    (tmp_path / "hookpost.lock").write_text(f"{os.getpid()}\n/tmp/hookpost-pg-gone\n")
    async with EmbeddedPostgres(tmp_path) as url:
        await add_row(url)


async def test_killed_postmaster(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path)
    url = await server.start()
    await add_row(url)
    pid = server.pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    assert await server.wait() == -signal.SIGKILL
    assert server.pid is None
    await server.stop()
    url = await server.start()
    assert await count_rows(url) == 1
    await server.stop()
    assert "recovery" in (tmp_path / "postgres.log").read_text()


async def test_killed_postmaster_with_a_worker_in_a_long_query(tmp_path: Path) -> None:
    """The worker does not notice, and while it lives PostgreSQL refuses to start beside it."""
    server = EmbeddedPostgres(tmp_path)
    url = await server.start()
    await add_row(url)
    connection = await asyncpg.connect(url)
    worker = connection.get_server_pid()
    busy = asyncio.create_task(
        connection.fetchval("SELECT count(*) FROM pg_class a, pg_class b, pg_class c, pg_class d")
    )
    watcher = await asyncpg.connect(url)
    while not await watcher.fetchval("SELECT true FROM pg_stat_activity WHERE pid = $1 AND state = 'active'", worker):
        pass
    watcher.terminate()
    pid = server.pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    await server.wait()
    await server.stop()
    assert alive(worker)
    try:
        assert await count_rows(await server.start()) == 1
        assert not alive(worker)
    finally:
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
        with pytest.raises(asyncpg.PostgresError):
            await busy
        await server.stop()


async def test_killed_application_takes_the_server_with_it(tmp_path: Path) -> None:
    with application(tmp_path) as app:
        url, pid = started(app)
        await add_row(url)
        app.kill()
        app.wait(10)
        await eventually(lambda: not alive(pid))
    assert "database system is shut down" in (tmp_path / "postgres.log").read_text()
    async with EmbeddedPostgres(tmp_path) as again:
        assert await count_rows(again) == 1
    assert not socket_directory(url).exists(), "what the killed one left is removed by the next"


async def test_start_at_once_after_the_application_was_killed(tmp_path: Path) -> None:
    """The old server is still shutting down, or not even that far."""
    with application(tmp_path) as app:
        url, _ = started(app)
        await add_row(url)
        app.kill()
        app.wait(10)
        async with EmbeddedPostgres(tmp_path) as again:
            assert await count_rows(again) == 1


async def test_a_server_the_kernel_did_not_stop_is_stopped_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the kernel offers no signal at the parent's death. The old server takes its time to go."""
    forgetful = tmp_path / "launch.py"
    original = process._LAUNCH.read_text()
    assert "or number == 0:" in original
    forgetful.write_text(original.replace("or number == 0:", "or True:"))
    monkeypatch.setattr(process, "_LAUNCH", forgetful)
    directory = tmp_path / "directory"
    server = EmbeddedPostgres(directory)
    url = await server.start()
    await add_row(url)
    pid = server.pid
    assert pid
    # Forget the server as a killed application would: the lock goes, the process stays.
    assert server._lock
    os.close(server._lock._file)
    os.kill(pid, signal.SIGSTOP)
    successor = EmbeddedPostgres(directory)
    starting = asyncio.create_task(successor.start())
    log = directory / "postgres.log"
    await eventually(lambda: log.exists() and "already exists" in log.read_text())
    os.kill(pid, signal.SIGCONT)
    assert await count_rows(await starting) == 1
    assert not alive(pid)
    await successor.stop()
    server._lock = None
    await server.stop()


async def test_another_process_with_the_dead_postmasters_number_does_not_block(tmp_path: Path) -> None:
    """Common in containers, where numbers start anew: PostgreSQL takes the stranger for a running server."""
    server = EmbeddedPostgres(tmp_path)
    await add_row(await server.start())
    assert server.pid
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()
    await server.stop()
    file = tmp_path / "data" / "postmaster.pid"
    owner = file.stat()
    drop = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if ROOT else {}
    with subprocess.Popen(["sleep", "600"], **drop) as stranger:  # type: ignore[call-overload]
        try:
            lines = file.read_text().splitlines()
            file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
            assert await count_rows(await server.start()) == 1
            await server.stop()
            assert stranger.poll() is None, "it is nobody's business to end it"
        finally:
            stranger.kill()


async def test_killed_during_initdb(tmp_path: Path) -> None:
    with application(tmp_path) as app:
        await eventually(lambda: [*tmp_path.glob("data.new-*/base")])
        app.kill()
        app.wait(10)
    assert not (tmp_path / "data").exists()
    async with EmbeddedPostgres(tmp_path) as url:
        await add_row(url)
    assert not [*tmp_path.glob("data.new-*")]


async def test_cancelled_start_leaves_nothing(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path)
    task = asyncio.create_task(server.start())
    await eventually(lambda: [*tmp_path.glob("data.new-*/base")])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert server.pid is None
    assert not [*tmp_path.glob("data*")]
    await add_row(await server.start())
    await server.stop()


async def test_ctrl_c_reaches_only_the_application(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path)
    await server.start()
    assert server.pid
    assert os.getsid(server.pid) == server.pid
    await server.stop()


async def test_a_server_started_by_hand_is_left_alone(tmp_path: Path) -> None:
    """It has our data directory, and no socket directory of ours."""
    server = EmbeddedPostgres(tmp_path)
    await server.start()
    await server.stop()
    file = tmp_path / "data" / "postmaster.pid"
    program = shutil.copy(shutil.which("sleep") or "sleep", tmp_path / "postgres")
    with subprocess.Popen([program, "600"]) as stranger:
        try:
            file.write_text(f"{stranger.pid}\n{tmp_path}\n0\n5432\n/run/by-hand\n\n0 0\nready\n")
            postmaster.stop_orphans(tmp_path / "data")
            assert postmaster.mistaken_for_postmaster(tmp_path / "data") is None
            assert stranger.poll() is None
            file.write_text(f"{stranger.pid}\n{tmp_path}\n0\n5432\n/tmp/hookpost-pg-x\n\n0 0\nready\n")
            postmaster.stop_orphans(tmp_path / "data")
            assert stranger.wait(10) == -signal.SIGINT
        finally:
            stranger.kill()


async def test_a_wrong_setting_is_explained_by_the_log(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path, settings={"shared_bufers": "1GB"})
    with pytest.raises(EmbeddedPostgresError, match='unrecognized configuration parameter "shared_bufers"') as caught:
        await server.start()
    assert "log" in caught.value.hint


async def test_another_major_version_is_refused(tmp_path: Path) -> None:
    async with EmbeddedPostgres(tmp_path) as url:
        await add_row(url)
    version = tmp_path / "data" / "PG_VERSION"
    real = version.read_text()
    version.write_text("12\n")
    error = await refused(tmp_path)
    assert "was made by PostgreSQL 12, and this is PostgreSQL" in str(error)
    assert binaries.VARIABLE in error.hint
    version.write_text(real)
    async with EmbeddedPostgres(tmp_path) as url:
        assert await count_rows(url) == 1


async def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "a file" in (await refused(tmp_path / "file")).hint
    assert "a file" in (await refused(tmp_path / "file" / "below")).hint
    (tmp_path / "data").write_text("")
    assert "is in the way" in str(await refused(tmp_path))


async def test_a_foreign_data_directory_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "letters.txt").write_text("dear")
    assert "is in the way" in str(await refused(tmp_path))
    assert (tmp_path / "data" / "letters.txt").read_text() == "dear"


async def test_an_unwritable_directory(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    try:
        if not ROOT:
            error = await refused(closed)
            said, hint = str(error), error.hint
        else:
            tmp_path.chmod(0o755)
            said, _, hint = refused_as_nobody(closed).partition("HINT ")
        assert f"cannot use {closed}: Permission denied" in said
        assert "may write to" in hint
    finally:
        closed.chmod(0o755)


def refused_as_nobody(directory: Path) -> str:
    """Root may write everywhere; and an ordinary user may be unable to read root's Python, so it imports first."""
    program = f"""
import asyncio, os, sys
from pathlib import Path
from hookpost_server.embedded import EmbeddedPostgres, EmbeddedPostgresError

os.setgroups([]), os.setgid({NOBODY}), os.setuid({NOBODY})
try:
    asyncio.run(EmbeddedPostgres(Path(sys.argv[1])).start())
except EmbeddedPostgresError as error:
    print(error, "HINT", error.hint)
"""
    command = [sys.executable, "-c", program, str(directory)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@as_root
async def test_a_full_disk(tmp_path: Path) -> None:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", tmp_path], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("may not mount")
    try:
        error = await refused(tmp_path / "directory")
        assert "No space left on device" in str(error)
        assert "disk space" in error.hint
        assert not [*tmp_path.glob("directory/data*")]
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@as_root
async def test_closed_parents_stay_closed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    directory = closed / "below"
    async with EmbeddedPostgres(directory) as url:
        await add_row(url)
        data = (directory / "data").stat()
        assert data.st_uid != 0
        assert data.st_gid != 0
    assert closed.stat().st_mode & 0o777 == 0o700
    assert closed.stat().st_uid == 0


@as_root
async def test_the_server_has_no_rights_of_root(tmp_path: Path) -> None:
    groups = os.getgroups()
    os.setgroups([0, 4])
    try:
        server = EmbeddedPostgres(tmp_path)
        await server.start()
    finally:
        os.setgroups(groups)
    status = dict(line.split(":", 1) for line in Path(f"/proc/{server.pid}/status").read_text().splitlines())
    assert "0" not in status["Uid"].split()
    assert "0" not in status["Gid"].split()
    assert status["Groups"].split() == []
    environment = Path(f"/proc/{server.pid}/environ").read_text()
    assert "HOME" not in environment
    await server.stop()


@as_root
async def test_binaries_the_account_cannot_read_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = binaries.find()
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setenv(binaries.VARIABLE, str(binaries.copy(found, closed)))
    closed.chmod(0o700)
    mask = os.umask(0o077)
    try:
        async with EmbeddedPostgres(tmp_path / "directory") as url:
            await add_row(url)
            assert [*socket_directory(url).glob("*/*/bin/postgres")]
        assert (tmp_path / "directory" / "data").stat().st_uid != 0
        assert not socket_directory(url).exists()
    finally:
        os.umask(mask)


@as_root
async def test_a_root_that_may_not_switch_uses_a_user_namespace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = tmp_path / "launch.py"
    original = process._LAUNCH.read_text()
    assert "os.setgroups([])" in original
    launcher.write_text(original.replace("os.setgroups([])", "raise PermissionError('no CAP_SETGID')"))
    monkeypatch.setattr(process, "_LAUNCH", launcher)
    directory = tmp_path / "directory"
    server = EmbeddedPostgres(directory)
    try:
        url = await server.start()
    except EmbeddedPostgresError as error:
        if "user namespace" in str(error):
            pytest.skip("no user namespaces here")
        raise
    await add_row(url)
    await server.stop()
    monkeypatch.undo()
    assert (directory / "data").stat().st_uid == 0
    # Its owner stays its owner, also when switching is possible again.
    async with EmbeddedPostgres(directory) as url:
        assert await count_rows(url) == 1


@pytest.mark.skipif(ROOT, reason="needs an ordinary user")
async def test_a_user_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "has_name", lambda uid: False)
    try:
        async with EmbeddedPostgres(tmp_path) as url:
            await add_row(url)
    except EmbeddedPostgresError as error:
        assert "/etc/passwd" in error.hint
        pytest.skip("no user namespaces here")
    assert (tmp_path / "data").stat().st_uid == os.geteuid()
    async with EmbeddedPostgres(tmp_path) as url:
        assert await count_rows(url) == 1


async def test_without_home_and_with_postgres_variables_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    for name, value in (("PGPORT", "1"), ("PGDATA", "/nowhere"), ("PGSSLMODE", "verify-full"), ("PGHOST", "nowhere")):
        monkeypatch.setenv(name, value)
    async with EmbeddedPostgres(tmp_path) as url:
        await add_row(url)
    monkeypatch.setenv("HOME", "")
    async with EmbeddedPostgres(tmp_path) as url:
        assert await count_rows(url) == 1


async def test_a_temporary_directory_too_long_for_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = Path(tempfile.mkdtemp())
    try:
        deep = short / ("x" * 100)
        deep.mkdir()
        short.chmod(0o755)
        monkeypatch.setattr(tempfile, "tempdir", str(deep))
        async with EmbeddedPostgres(tmp_path) as url:
            await add_row(url)
    finally:
        shutil.rmtree(short)


async def test_a_wrong_choice_of_binaries_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(binaries.VARIABLE, str(tmp_path))
    assert binaries.VARIABLE in str(await refused(tmp_path))


async def test_no_binaries_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(binaries.VARIABLE, raising=False)
    monkeypatch.setattr(binaries, "WHEELS", ("no_such_wheel",))
    monkeypatch.setattr(binaries, "_SYSTEM", tmp_path)
    error = await refused(tmp_path / "directory")
    assert "No PostgreSQL found" in str(error)
    assert "HOOKPOST_DATABASE_URL" in error.hint


async def test_waiting_before_the_start_is_an_error(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path)
    with pytest.raises(EmbeddedPostgresError, match="not running"):
        await server.wait()
    await server.stop()
