"""Reading requests: ids, tenants and masks, with violations that name the field."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from google.protobuf import field_mask_pb2

from ..domain import errors, event, ids


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
        why = "can't be changed" if known and path not in settable else "is no field"
        faults.append(
            errors.Violation(f"{field}.paths[{index}]", f'"{path[:64]}" {why}; choose of {", ".join(settable)} or "*"')
        )
    if faults:
        raise errors.InvalidFields(faults)
    return list(dict.fromkeys(given.paths))


def request_id(value: str) -> str:
    """An optional request id. Raises InvalidFields."""
    if value and (len(value) > 128 or not event.PRINTABLE.fullmatch(value)):
        raise errors.InvalidFields.one("request_id", "must be at most 128 printable ASCII characters")
    return value
