"""Placement groups: rows that may share a statement.

One group today. Were tenants spread over shards, `group_of` would answer the shard's number: group commit, claims and
records are made for one group at a time, and nothing is atomic across groups (a batch is of one tenant).
"""

from __future__ import annotations


def group_of(tenant_id: str) -> int:
    """The placement group of a tenant."""
    return 0
