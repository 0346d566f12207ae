"""Whose things a request may name: a key that is bound to a tenant sees no other."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor

from ..domain import actor, errors

PACKAGE = "hookpost.v1"


def settle(request: Any) -> None:
    """Makes the tenant that a request leaves open its caller's. Raises NotFound for another's, existing or not.

    Entries of a batch have the tenant of the batch; `rpc/intake.py` sees to it.
    """
    own = actor.current().tenant_id
    if own is None:
        return
    for path in _places(request.DESCRIPTOR):
        holder = functools.reduce(getattr, path, request)
        if not holder.tenant_id:
            holder.tenant_id = own
        elif holder.tenant_id != own:
            raise errors.NotFound("tenant", holder.tenant_id)


@functools.cache
def _places(message: Descriptor) -> tuple[tuple[str, ...], ...]:
    """The paths of the messages in a request, itself included, that name a tenant."""
    return tuple(_walk(message, ()))


def _walk(message: Descriptor, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for field in message.fields:
        if field.name == "tenant_id":
            yield path
        inner = field.message_type
        if inner is not None and not field.is_repeated and inner.file.package == PACKAGE:
            yield from _walk(inner, (*path, field.name))
