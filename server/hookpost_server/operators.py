"""What operators do on the database itself, beside the servers and without a key: who reaches it needs none."""

from __future__ import annotations

import contextlib
import getpass
from collections.abc import AsyncIterator
from dataclasses import dataclass

from . import startup
from .config import Config
from .domain.actor import Actor, act_as
from .store.api_keys import ApiKeys
from .store.audit import AuditLog


@dataclass(frozen=True, slots=True)
class Desk:
    """The verbs."""

    keys: ApiKeys
    audit: AuditLog


@contextlib.asynccontextmanager
async def desk(config: Config) -> AsyncIterator[Desk]:
    """Up to date, also while servers run. The audit log has this account's name. Raises StartError."""
    async with startup.any_database_url(config) as url:
        await startup.migrate(url)
        async with startup.opened(url) as database:
            act_as(Actor("operator", _account()))
            yield Desk(ApiKeys(database), AuditLog(database))


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container, an account may have no name
        return ""
