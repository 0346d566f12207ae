"""Whom PostgreSQL runs as. It refuses to run as root, so root lends it an unprivileged account.

No account is created and no foreign directory's permissions are changed. The data directory is handed over opened,
and named `/proc/self/fd/N`: thus its parents need not be open to the account.
"""

import os
import pwd
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .errors import EmbeddedPostgresError

# A dedicated account is best: what runs as the same account may connect to the database.
_NAMES = ("hookpost", "postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """`way` is how to become it: `same` as we are, `switch` the user and group, or a user `namespace`.

    The namespace is the last resort, for a root that may not switch (no CAP_SETUID) and for a user without a name:
    what runs in it keeps our rights on our own files.
    """

    way: Literal["same", "switch", "namespace"]
    uid: int
    gid: int

    def own(self, path: Path) -> None:
        """Hands over a path we made."""
        if self.way == "switch":
            os.chown(path, self.uid, self.gid, follow_symlinks=False)
        elif self.way == "namespace":
            os.chown(path, os.geteuid(), os.getegid(), follow_symlinks=False)

    @contextmanager
    def reach(self, directory: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
        """How a child names `directory`, and the descriptors it must inherit for it. Start the child inside."""
        if self.way != "switch" or not sys.platform.startswith("linux"):
            yield str(directory), ()
            return
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield f"/proc/self/fd/{descriptor}", (descriptor,)
        finally:
            os.close(descriptor)


def candidates(owner: tuple[int, int] | None) -> Iterator[Account]:
    """In the order to try them. `owner` is the user and group of an existing data directory, who keeps it."""
    if os.geteuid() != 0 and (owner or has_name(os.geteuid())):
        yield Account("same", os.geteuid(), os.getegid())
        return
    entry = _unprivileged()
    if os.geteuid() != 0:
        yield Account("namespace", entry.pw_uid, entry.pw_gid)
        return
    if owner is None:
        yield Account("switch", entry.pw_uid, entry.pw_gid)
    elif owner[0] != 0:
        yield Account("switch", *owner)
        return
    yield Account("namespace", entry.pw_uid, entry.pw_gid)


def has_name(uid: int) -> bool:
    """Containers run as numbers of no account; initdb insists on a name, the server does not."""
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _unprivileged() -> pwd.struct_passwd:
    for name in _NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return entry
    raise EmbeddedPostgresError(
        f"PostgreSQL does not run as root, and none of the accounts {', '.join(_NAMES)} exists.",
        "Run Hookpost as an ordinary user, create the account hookpost, or set HOOKPOST_DATABASE_URL.",
    )
