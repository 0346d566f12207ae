"""Browsers that have signed in to the console with an API key. Every node knows all of them."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from uuid import UUID

from ..domain import ids
from ..domain.actor import Actor, act_as
from ..domain.api_key import ALL_TENANTS, Principal
from ..domain.audit import Action
from . import audit
from .database import Database

IDLE = timedelta(minutes=30)  # without a page, after which a session is over
LONGEST = timedelta(hours=12)


class Sessions:
    """Verbs on sessions. A session is a random text that only the browser has; what is stored is its SHA-256."""

    def __init__(self, database: Database) -> None:
        self._database = database

    SWEEP = (
        "delete from console_sessions where last_use_time < now() - $1::interval or create_time < now() - $2::interval"
    )
    BEGIN = "insert into console_sessions (digest, key_id) values ($1, $2)"

    async def begin(self, session: str, principal: Principal, address: str) -> None:
        """Signs a browser in, and forgets sessions that are over."""
        key = ids.text(ids.KEY, principal.id)
        act_as(Actor(key, principal.name, address, principal.tenant_id))
        async with self._database.transaction() as connection:
            await connection.execute(self.SWEEP, IDLE, LONGEST)
            await connection.execute(self.BEGIN, _digest(session), principal.id)
            await audit.note(connection, principal.tenant_id or ALL_TENANTS, Action.SIGNED_IN, key)

    KEY_OF = """
        select key_id, last_use_time < now() - interval '1 minute' as stale from console_sessions
        where digest = $1 and last_use_time > now() - $2::interval and create_time > now() - $3::interval
    """
    USED = "update console_sessions set last_use_time = now() where digest = $1"

    async def key_of(self, session: str, *, used: bool) -> UUID | None:
        """The key that opened a session; None once it is over. `used`: its idle time begins anew."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self.KEY_OF, _digest(session), IDLE, LONGEST)
            if row is None:
                return None
            if used and row["stale"]:
                await connection.execute(self.USED, _digest(session))
        key_id: UUID = row["key_id"]
        return key_id

    END = "delete from console_sessions where digest = $1"

    async def end(self, session: str) -> None:
        """Signs the browser out; the session can't be used again."""
        async with self._database.connection() as connection:
            await connection.execute(self.END, _digest(session))


def _digest(session: str) -> bytes:
    return hashlib.sha256(session.encode()).digest()
