"""Who visits: whoever signed in with an API key, or, on a server without keys, anybody."""

from __future__ import annotations

from uuid import UUID

from ..actions.failure_limit import FailureLimit
from ..domain.api_key import Principal, Scope
from ..store.known_keys import KnownKeys
from ..store.sessions import Sessions

ANYBODY = Principal(UUID(int=0), "", frozenset({Scope.ADMIN}), None)
NOBODY = Principal(UUID(int=0), "", frozenset(), "")


class Door:
    """Lets browsers in and out."""

    def __init__(self, keys: KnownKeys | None, sessions: Sessions) -> None:
        """Without `keys` everybody is let in, with all rights."""
        self._keys = keys
        self._sessions = sessions
        self._failures = FailureLimit()

    @property
    def open(self) -> bool:
        """Whether nobody needs to sign in."""
        return self._keys is None

    async def caller(self, session: str, *, used: bool) -> Principal:
        """Who a session belongs to, if there is one; NOBODY once it is over, or its key works no more.

        `used`: somebody is there, so the session goes on.
        """
        if self._keys is None:
            return ANYBODY
        if not session:
            return NOBODY
        key_id = await self._sessions.key_of(session, used=used)
        return NOBODY if key_id is None else await self._keys.still(key_id) or NOBODY

    async def sign_in(self, text: str, session: str, address: str) -> bool:
        """Whether the key lets anybody in; the new session is then theirs. Raises TooManyFailures."""
        principal = None if self._keys is None else await self._keys.authenticate(text)
        if principal is None:
            self._failures.count(address)
            return False
        await self._sessions.begin(session, principal, address)
        return True

    async def sign_out(self, session: str) -> None:
        """Ends a session for good."""
        await self._sessions.end(session)
