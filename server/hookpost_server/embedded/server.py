"""The embedded PostgreSQL: a child process that ends with the application, in a directory that survives it."""

import asyncio
import re
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import asyncpg

from . import cluster, postmaster, runtime
from .cluster import Installation
from .errors import EmbeddedPostgresError, from_log, from_os_error
from .lock import DirectoryLock, holder
from .log import Log
from .process import Child

DATABASE = "hookpost"
_DEFAULTS = {"shared_buffers": "128MB", "max_connections": "100", "timezone": "UTC", "log_timezone": "UTC"}

# Recovery after a crash replays up to max_wal_size (1 GB) before the server is ready.
_READY_SECONDS = 300.0
_POLL_SECONDS = 0.02
_CONNECT_SECONDS = 10.0
# How long an old server, or what is left of it, may take to let go of the directory.
_LINGER_SECONDS = 15.0
_LINGERING = re.compile(r"pre-existing shared memory block|lock file .* (already exists|is empty)")
# Fast shutdown, immediate shutdown, the end; each with the seconds it is given.
_STOP = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0))


class EmbeddedPostgres:
    """One PostgreSQL server for one application, over a Unix socket nobody else can reach.

    `directory` is made if missing and keeps `data/`, `postgres.log` and a lock. `settings` are PostgreSQL's own,
    for example `{"shared_buffers": "1GB"}`; durability stays on unless they turn it off. Start it on the main
    thread: only then does the kernel stop it when the application is killed.
    """

    def __init__(self, directory: Path, *, settings: Mapping[str, str] = {}) -> None:
        self._directory = directory.absolute()
        self._settings = _DEFAULTS | dict(settings)
        self._lock: DirectoryLock | None = None
        self._runtime: Path | None = None
        self._log: Log | None = None
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while there is one."""
        return self._child.pid if self._child and self._child.running else None

    async def start(self) -> str:
        """Returns the URL of the database `hookpost`, for asyncpg. Raises EmbeddedPostgresError, leaving nothing."""
        if self._lock:
            raise EmbeddedPostgresError("The embedded PostgreSQL was started already.", "Stop it first.")
        try:
            return await self._start()
        except OSError as error:
            await self.stop()
            raise from_os_error(error, self._directory) from error
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Ends the server within 75 s, usually in hundredths of one. May be called again, and before a start."""
        if self._child:
            for number, patience in _STOP:
                self._child.send(number)
                try:
                    await self._child.wait(patience)
                    break
                except TimeoutError:
                    continue
            self._child = None
        if self._log:
            self._log.close()
            self._log = None
        if self._runtime:
            runtime.remove(self._runtime)
            self._runtime = None
        if self._lock:
            self._lock.release()
            self._lock = None

    async def wait(self) -> int:
        """Returns when the server ends, for whatever reason: its exit code, negative for a signal. No time limit."""
        if not self._child:
            raise EmbeddedPostgresError("The embedded PostgreSQL is not running.", "Start it first.")
        return await self._child.wait()

    async def __aenter__(self) -> str:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _start(self) -> str:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = DirectoryLock(self._directory)
        if self._lock.left_behind:
            runtime.remove(self._lock.left_behind)
        cluster.remove_unfinished(self._directory)
        self._runtime = runtime.make()
        self._lock.record(self._runtime)
        self._log = Log(self._directory)
        data = self._directory / "data"
        installation = await cluster.install(data, self._runtime, self._log)
        await cluster.ensure(data, installation, self._log, durable=self._settings.get("fsync") != "off")
        await self._run(data, installation, self._runtime, self._log)
        return await self._open_database(self._runtime, self._log)

    async def _run(self, data: Path, installation: Installation, socket: Path, log: Log) -> None:
        """Starts the server and waits until it is ready; tries again while an old one lets go of the directory."""
        postmaster.stop_orphans(data)
        give_up, delay = time.monotonic() + _LINGER_SECONDS, 0.1
        while True:
            mark = log.mark()
            self._child = self._spawn(data, installation, socket, log)
            if await _ready(self._child, data):
                return
            said = log.since(mark)
            if not _LINGERING.search(said) or time.monotonic() > give_up:
                raise from_log(f"PostgreSQL did not start in {self._directory}.", said)
            await asyncio.sleep(delay)
            delay = min(delay * 1.5, 1.0)

    def _spawn(self, data: Path, installation: Installation, socket: Path, log: Log) -> Child:
        settings = self._settings | {
            "listen_addresses": "",
            "unix_socket_directories": f'"{socket}"',
            "logging_collector": "off",
            "log_destination": "stderr",
            "lc_messages": "C",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        mistaken = postmaster.mistaken_for_postmaster(data)
        with installation.account.reach(data) as (name, descriptors):
            return Child(
                (str(installation.binaries / "postgres"), "-D", name, *options),
                account=installation.account,
                on_orphaned=signal.SIGINT,
                output=log.file,
                descriptors=descriptors,
                environment={"PG_GRANDPARENT_PID": str(mistaken)} if mistaken else {},
            )

    async def _open_database(self, socket: Path, log: Log) -> str:
        try:
            connection = await asyncpg.connect(_url(socket, "postgres"), timeout=_CONNECT_SECONDS)
            try:
                if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
                    await connection.execute(f'CREATE DATABASE "{DATABASE}"')
            finally:
                await connection.close(timeout=_CONNECT_SECONDS)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise from_log(f"PostgreSQL started and then refused work: {error!r}.", log.since()) from error
        return _url(socket, DATABASE)


def url_of_running(directory: Path) -> str | None:
    """The database that another process runs there, for whoever may use that one's socket; None if nobody does."""
    socket = holder(directory.absolute())
    return None if socket is None else _url(socket, DATABASE)


async def _ready(child: Child, data: Path) -> bool:
    """False when the server ended instead. Raises EmbeddedPostgresError when it takes too long."""
    give_up = time.monotonic() + _READY_SECONDS
    while child.running:
        if postmaster.is_ready(data, child.pid):
            return True
        if time.monotonic() > give_up:
            raise EmbeddedPostgresError(
                f"PostgreSQL was not ready after {_READY_SECONDS:.0f} s.", f"See {data.with_name('postgres.log')}."
            )
        await asyncio.sleep(_POLL_SECONDS)
    return False


def _url(socket: Path, database: str) -> str:
    """Complete, so that no PGPORT or PGSSLMODE of the environment changes it."""
    return f"postgresql://postgres@/{database}?host={quote(str(socket), safe='/')}&port=5432&sslmode=disable"
