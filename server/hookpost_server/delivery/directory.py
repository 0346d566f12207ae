"""The webhooks that deliveries go to, remembered for a moment."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from uuid import UUID

import structlog

from ..domain import errors
from ..domain.webhook import STALE_AFTER, Webhook
from ..store.webhooks import Webhooks

REFRESH_INTERVAL = 0.5  # seconds between looks for changes
READ_WITHIN = STALE_AFTER  # seconds; what took longer to read may be older than an attempt may go by
UNREADABLE_FOR = 900.0  # seconds since it was last tried for which it counts; leases last 11 min at most

log = structlog.get_logger()


@dataclass(slots=True)
class _Entry:
    webhook: Webhook
    checked: float  # monotonic
    used: bool = True


class Directory:
    """Answers with a webhook of at least a given version, checked against the database within STALE_AFTER.

    One query a REFRESH_INTERVAL checks all that were in use since; what is missing is loaded together.
    """

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks
        self._entries: dict[UUID, _Entry] = {}
        self._wanted: dict[UUID, asyncio.Future[Webhook | None]] = {}
        self._asked = asyncio.Event()
        self._unreadable: dict[UUID, float] = {}  # when it was last tried, monotonic

    @property
    def unreadable(self) -> int:
        """Webhooks with deliveries that wait because what is stored of them can't be read."""
        since = time.monotonic() - UNREADABLE_FOR
        self._unreadable = {webhook_id: tried for webhook_id, tried in self._unreadable.items() if tried > since}
        return len(self._unreadable)

    def known(self, webhook_id: UUID, version: int) -> Webhook | None:
        """What `get` would answer without asking; None when it would have to ask."""
        entry = self._entries.get(webhook_id)
        if entry and entry.webhook.version >= version and time.monotonic() - entry.checked < STALE_AFTER:
            entry.used = True
            return entry.webhook
        return None

    async def get(self, webhook_id: UUID, version: int) -> Webhook | None:
        """None when it is deleted. Raises DatabaseUnavailable and WebhookUnreadable."""
        if (known := self.known(webhook_id, version)) is not None:
            return known
        loading = self._wanted.get(webhook_id)
        if loading is None:
            loading = self._wanted[webhook_id] = asyncio.get_running_loop().create_future()
            self._asked.set()
        return await asyncio.shield(loading)

    async def run(self) -> None:
        """Loads and refreshes until cancelled."""
        next_refresh = time.monotonic() + REFRESH_INTERVAL
        while True:
            try:
                async with asyncio.timeout(max(0.0, next_refresh - time.monotonic())):
                    await self._asked.wait()
            except TimeoutError:
                pass
            self._asked.clear()
            if self._wanted:
                await self._load()
            if time.monotonic() >= next_refresh:
                await self._refresh()
                next_refresh = time.monotonic() + REFRESH_INTERVAL

    async def _load(self) -> None:
        wanted, self._wanted = self._wanted, {}
        checked = time.monotonic()
        try:
            found = await self._webhooks.get_many(list(wanted))
        except errors.DatabaseUnavailable as error:
            for future in wanted.values():
                _fail(future, error)
            return
        if time.monotonic() - checked >= READ_WITHIN:
            for future in wanted.values():
                _fail(future, errors.DatabaseUnavailable("the database answered too late"))
            return
        for webhook_id, future in wanted.items():
            webhook = found.get(webhook_id)
            self._entries.pop(webhook_id, None)
            self._unreadable.pop(webhook_id, None)
            if isinstance(webhook, errors.WebhookUnreadable):
                self._unreadable[webhook_id] = checked
                _fail(future, webhook)
                continue
            if webhook is not None:
                self._entries[webhook_id] = _Entry(webhook, checked)
            if not future.done():
                future.set_result(webhook)

    async def _refresh(self) -> None:
        self._entries = {webhook_id: entry for webhook_id, entry in self._entries.items() if entry.used}
        if not self._entries:
            return
        checked = time.monotonic()
        try:
            versions = await self._webhooks.versions(list(self._entries))
        except errors.DatabaseUnavailable as error:
            log.warning("directory.refresh_failed", error=error.message)
            return
        for webhook_id, entry in list(self._entries.items()):
            if versions.get(webhook_id) == entry.webhook.version:
                entry.checked = checked
                entry.used = False
            else:
                self._entries.pop(webhook_id, None)


def _fail(future: asyncio.Future[Webhook | None], error: errors.HookpostError) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # nobody may be waiting any more
