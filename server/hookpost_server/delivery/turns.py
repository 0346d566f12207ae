"""Whose turn it is: tenants in turn, and the lanes of each in turn."""

from __future__ import annotations

from collections import deque

from .lane import Lane

SPARE = 16  # one slot in so many is kept from tenants that hold half of them


class Tenant:
    """What a tenant has in this process."""

    __slots__ = ("id", "in_flight", "ready", "waiting")

    def __init__(self, tenant_id: str) -> None:
        self.id = tenant_id
        self.ready: deque[Lane] = deque()  # with waiting claims and a free slot, in turn
        self.waiting = 0  # claims
        self.in_flight = 0


class Turns:
    """Gives slots to tenants in turn, so that one with a thousand webhooks gets no more than one with a single one.

    A tenant that holds half of the slots gets no more while another waits. It may take those that nobody else wants,
    but for a few: whoever comes next finds one free, even if all that is under way hangs.
    """

    def __init__(self, slots: int) -> None:
        self._half = (slots + 1) // 2
        self._most = slots - slots // SPARE
        self._tenants: dict[str, Tenant] = {}
        self._ready: deque[Tenant] = deque()  # tenants with ready lanes, in turn

    def tenant(self, tenant_id: str) -> Tenant:
        """That tenant's part, made if need be."""
        found = self._tenants.get(tenant_id)
        if found is None:
            found = self._tenants[tenant_id] = Tenant(tenant_id)
        return found

    def offer(self, lane: Lane) -> None:
        """The lane could use a turn; to be called once until it gets one."""
        tenant = self.tenant(lane.tenant_id)
        if not tenant.ready:
            self._ready.append(tenant)
        tenant.ready.append(lane)

    def next(self) -> Lane | None:
        """The lane whose turn it is; None when nobody who may have a slot wants one."""
        for _ in range(len(self._ready)):
            tenant = self._ready[0]
            if tenant.in_flight >= self._half and (len(self._ready) > 1 or tenant.in_flight >= self._most):
                self._ready.rotate(-1)
                continue
            return tenant.ready[0]
        return None

    def take(self) -> None:
        """The `next` lane has had its turn."""
        tenant = self._ready.popleft()
        tenant.ready.popleft()
        if tenant.ready:
            self._ready.append(tenant)

    @property
    def several(self) -> bool:
        """Whether more than one tenant has something here."""
        return len(self._tenants) > 1

    def held(self, most_each: int) -> int:
        """Claims that wait, of each tenant `most_each` at most."""
        return sum(min(tenant.waiting, most_each) for tenant in self._tenants.values())

    def full(self, free: int, most_each: int) -> list[str]:
        """Tenants that hold as many waiting claims as are left free, or `most_each`: so something always is."""
        return [t.id for t in self._tenants.values() if t.waiting and t.waiting >= min(free, most_each)]

    def clear(self) -> None:
        """Nobody wants a turn any more."""
        self._ready.clear()
        for tenant in self._tenants.values():
            tenant.ready.clear()

    def forget(self, tenant_id: str) -> None:
        """Drops a tenant that has nothing here."""
        tenant = self._tenants.get(tenant_id)
        if tenant is not None and not (tenant.waiting or tenant.in_flight or tenant.ready):
            del self._tenants[tenant_id]
