"""Who visits, and what they may do."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


class Scope(enum.IntEnum):
    """A set of deeds that a key allows; numbers as in the proto."""

    EVENTS_EMIT = 1
    READ = 2
    WEBHOOKS_WRITE = 3
    SECRETS_REVEAL = 4
    DELIVERIES_RETRY = 5
    ADMIN = 6


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: a key that was let in."""

    id: UUID
    name: str
    scopes: frozenset[Scope]
    tenant_id: str | None  # None: every tenant

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes


ANYBODY = Principal(UUID(int=0), "", frozenset({Scope.ADMIN}), None)  # of a server without keys
NOBODY = Principal(UUID(int=0), "", frozenset(), "")  # has not signed in


class Door(Protocol):
    """Tells who a browser's session belongs to."""

    @property
    def open(self) -> bool:
        """Whether everybody is let in without a key."""

    async def caller(self, session: str) -> Principal:
        """NOBODY for a session that is not signed in, or no more."""


class OpenDoor:
    """Of a server without keys: whoever reaches it may do everything."""

    open = True

    async def caller(self, session: str) -> Principal:
        return ANYBODY
