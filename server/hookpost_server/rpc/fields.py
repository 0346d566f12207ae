"""Reading requests: ids, tenants and masks, with violations that name the field."""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from typing import Any, ParamSpec, Self, TypeVar
from uuid import UUID

from google.protobuf import field_mask_pb2, timestamp_pb2

from ..domain import errors, event, ids
from .times import from_timestamp

P = ParamSpec("P")
T = TypeVar("T")
E = TypeVar("E", bound=enum.IntEnum)
NIL = UUID(int=0)


class Faults:
    """Gathers what is wrong with a request, so that its caller is told all at once: leaving the block raises it."""

    def __init__(self) -> None:
        self.found: list[errors.Violation] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self.found:
            raise errors.InvalidFields(self.found)

    def read(self, otherwise: T, read: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """What `read` answers; `otherwise`, where it raises InvalidFields: the block will not end well then."""
        try:
            return read(*args, **kwargs)
        except errors.InvalidFields as error:
            self.found += error.violations
            return otherwise

    def note(self, field: str, fault: str | None) -> None:
        """Adds a fault of a field, if there is one."""
        if fault:
            self.found.append(errors.Violation(field, fault))


def tenant(request: Any, field: str = "tenant_id") -> str:
    """The tenant, `default` when none is named. Raises InvalidFields."""
    tenant_id: str = request.tenant_id or event.DEFAULT_TENANT
    if fault := event.check_tenant(tenant_id):
        raise errors.InvalidFields.one(field, fault)
    return tenant_id


def identity(prefix: str, value: str, field: str) -> UUID:
    """A required id. Raises InvalidFields."""
    if not value:
        raise errors.InvalidFields.one(field, "is required")
    try:
        return ids.parse(prefix, value)
    except ValueError as error:
        raise errors.InvalidFields.one(field, str(error)) from None


def named(prefix: str, request: Any, field: str) -> tuple[str, UUID]:
    """The tenant and the id of the one thing that a request is about. Raises InvalidFields."""
    with Faults() as faults:
        tenant_id = faults.read("", tenant, request)
        return tenant_id, faults.read(NIL, identity, prefix, getattr(request, field), field)


def moment(given: timestamp_pb2.Timestamp, field: str) -> datetime:
    """A time. Raises InvalidFields outside 1970 to 9999."""
    try:
        return from_timestamp(given)
    except ValueError as error:
        raise errors.InvalidFields.one(field, str(error)) from None


def numbers(kind: type[E], given: Iterable[int], field: str) -> list[E]:
    """Members of an enum of the domain. Raises InvalidFields for a number that is none."""
    try:
        return [kind(number) for number in given]
    except ValueError:
        raise errors.InvalidFields.one(field, f"must be of {', '.join(each.name for each in kind)}") from None


def mask(
    given: field_mask_pb2.FieldMask, resource: Any, settable: Collection[str], field: str = "update_mask"
) -> list[str]:
    """The fields to take from `resource`. Raises InvalidFields for a path that can't be set.

    No mask means every settable field that is set (AIP-134); `*` means all settable ones.
    """
    if not given.paths:
        return [descriptor.name for descriptor, _ in resource.ListFields() if descriptor.name in settable]
    if list(given.paths) == ["*"]:
        return list(settable)
    faults = []
    for index, path in enumerate(given.paths):
        if path in settable:
            continue
        known = path.split(".", 1)[0] in resource.DESCRIPTOR.fields_by_name
        why = "can't be changed" if known else "is no field"
        faults.append(
            errors.Violation(f"{field}.paths[{index}]", f'"{path[:64]}" {why}; choose of {", ".join(settable)} or "*"')
        )
    if faults:
        raise errors.InvalidFields(faults)
    return list(dict.fromkeys(given.paths))


def request_id(value: str) -> str:
    """An optional request id. Raises InvalidFields."""
    if value and (len(value) > 128 or not event.PRINTABLE.fullmatch(value)):
        raise errors.InvalidFields.one(
            "request_id", "must be at most 128 printable ASCII characters, no space at either end"
        )
    return value
