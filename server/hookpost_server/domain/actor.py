"""Who does what is being done: set where a call comes in, read by the store for the audit log.

It travels with the task and those that the task begins, so that no verb needs a parameter for it.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """A caller."""

    id: str  # an API key's id, a console account's, or a word for what else there is
    name: str = ""  # for people
    address: str = ""  # where the call came from, without port
    tenant_id: str | None = None  # whose things it may reach; None: every tenant's


SERVER = Actor("server")
_current: ContextVar[Actor] = ContextVar("actor", default=SERVER)


def current() -> Actor:
    """Who acts here; the server itself where nobody else was said to."""
    return _current.get()


def act_as(actor: Actor) -> None:
    """From here on in this task, and in the tasks that it begins. Each call has a task of its own."""
    _current.set(actor)
