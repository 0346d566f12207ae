"""The data directory: made whole or not at all, and refused when another version made it."""

import asyncio
import os
import re
import shutil
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import binaries
from .account import Account, candidates
from .errors import EmbeddedPostgresError, from_log
from .log import Log
from .process import Child

_PROBE_SECONDS = 20.0
_INITDB_SECONDS = 180.0
_UNFINISHED = "data.new-"


@dataclass(frozen=True, slots=True)
class Installation:
    """Binaries that were seen to run as `account`."""

    binaries: Path
    major: int
    account: Account


@dataclass(frozen=True, slots=True)
class _Existing:
    version: str
    owner: tuple[int, int]


async def install(data: Path, runtime: Path, log: Log) -> Installation:
    """Finds the binaries and an account that can run them; copies them into `runtime` where it cannot reach them.

    Raises EmbeddedPostgresError when nothing runs, or when `data` is something they cannot use.
    """
    found = binaries.find()
    existing = _inspect(data)
    mark = log.mark()
    for account in candidates(existing.owner if existing else None):
        account.own(runtime)
        usable = found
        major = await _major(found, account, log)
        if not major and account.way == "switch":
            usable = await asyncio.to_thread(binaries.copy, found, runtime)
            major = await _major(usable, account, log)
        if major:
            _refuse_other_version(data, existing, major)
            return Installation(usable, major, account)
    raise EmbeddedPostgresError(
        f"PostgreSQL in {found} does not run on this machine:\n{log.since(mark)}",
        "Run Hookpost as an ordinary user that /etc/passwd names, install PostgreSQL where all can read it, "
        "or set HOOKPOST_DATABASE_URL.",
    )


async def ensure(data: Path, installation: Installation, log: Log, *, durable: bool) -> None:
    """Makes the database cluster in `data` unless there is one. Raises EmbeddedPostgresError if it cannot."""
    if _inspect(data):
        return
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=data.parent))
    try:
        installation.account.own(unfinished)
        await _initdb(unfinished, installation, log, durable=durable)
        _publish(unfinished, data)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def remove_unfinished(directory: Path) -> None:
    """What an initdb left that was killed."""
    for path in directory.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(path, ignore_errors=True)


async def _major(found: Path, account: Account, log: Log) -> int | None:
    """The major version, or None when the account cannot run the binaries; the log then tells why."""
    for program in ("initdb", "postgres"):
        mark = log.mark()
        command = (str(found / program), "--version")
        child = Child(command, account=account, on_orphaned=signal.SIGKILL, output=log.file)
        try:
            failed = await child.wait(_PROBE_SECONDS)
        except TimeoutError:
            failed = 1
        finally:
            child.kill_group()
        version = re.search(r"\(PostgreSQL\) (\d+)", log.since(mark))
        if failed or not version:
            return None
    return int(version[1]) if version else None


async def _initdb(directory: Path, installation: Installation, log: Log, *, durable: bool) -> None:
    account = installation.account
    flags = ("-U", "postgres", "--auth=trust", "--encoding=UTF8", "--data-checksums", *_locale(installation.major))
    mark = log.mark()
    with account.reach(directory) as (name, descriptors):
        child = Child(
            (str(installation.binaries / "initdb"), "-D", name, *flags, *(() if durable else ("--no-sync",))),
            account=account,
            on_orphaned=signal.SIGKILL,
            output=log.file,
            descriptors=descriptors,
        )
    try:
        code = await child.wait(_INITDB_SECONDS)
    except TimeoutError:
        raise from_log(f"initdb took longer than {_INITDB_SECONDS:.0f} s.", log.since(mark)) from None
    finally:
        child.kill_group()
    if code != 0:
        raise from_log(f"initdb could not make a database in {directory.parent}.", log.since(mark))


def _publish(unfinished: Path, data: Path) -> None:
    """Gives the finished cluster its name, so that a power cut leaves it there or not at all."""
    unfinished.rename(data)
    file = os.open(data.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _inspect(data: Path) -> _Existing | None:
    """None when it is to be made."""
    if not data.exists() or (data.is_dir() and not any(data.iterdir())):
        return None
    try:
        version = (data / "PG_VERSION").read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        raise EmbeddedPostgresError(
            f"{data} is in the way: it is not a PostgreSQL data directory.",
            "Move it away, or choose another directory.",
        ) from None
    owner = data.stat()
    return _Existing(version, (owner.st_uid, owner.st_gid))


def _refuse_other_version(data: Path, existing: _Existing | None, major: int) -> None:
    if existing and existing.version != str(major):
        raise EmbeddedPostgresError(
            f"{data} was made by PostgreSQL {existing.version}, and this is PostgreSQL {major}.",
            f"Set {binaries.VARIABLE} to the bin directory of PostgreSQL {existing.version}, "
            "or choose another directory.",
        )


def _locale(major: int) -> tuple[str, ...]:
    """The same order on every machine: by code point. Before 17, letters beyond ASCII have no upper and lower case."""
    if major >= 17:
        return ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions")
    return ("--locale=C", "--no-instructions")
