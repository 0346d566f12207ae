"""The servers that are measured beside each other, each on a database of its own."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import asyncpg
import grpc

from hookpost.v1 import webhook_pb2, webhook_service_pb2, webhook_service_pb2_grpc
from tests.keys import MASTER_KEY

from .processes import Process
from .template import event_type

COMMAND = str(Path(sys.executable).with_name("hookpost"))
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("HOOKPOST_")}
IN_FLIGHT = 64  # attempts at once of a webhook, unless a scenario says otherwise
AT_ONCE = 16  # webhooks created at once
_logs = itertools.count()


class Hookpost:
    """`hookpost serve` with its settings as they come, http and loopback allowed."""

    def __init__(self, name: str, process: Process, database_url: str) -> None:
        self.name = name
        self.process = process
        self.database_url = database_url
        self.address = process.said
        self.channel = grpc.aio.insecure_channel(self.address)
        self.webhooks = webhook_service_pb2_grpc.WebhookServiceStub(self.channel)

    @classmethod
    async def start(
        cls, name: str, database_url: str, directory: Path, settings: Mapping[str, str], *, through: Sequence[str] = ()
    ) -> Hookpost:
        """`through` is a command that runs another one."""
        environment = CLEAN | {
            "HOOKPOST_DATABASE_URL": database_url,
            "HOOKPOST_MASTER_KEY": MASTER_KEY,
            "HOOKPOST_GRPC_ADDRESS": "127.0.0.1:0",
            "HOOKPOST_METRICS_ADDRESS": "127.0.0.1:0",
            "HOOKPOST_CONSOLE_ADDRESS": "off",
            "HOOKPOST_ALLOW_HTTP": "true",
            "HOOKPOST_ALLOW_NETWORKS": "127.0.0.0/8",
            "HOOKPOST_EVENT_TYPES": "open",
            "HOOKPOST_LOG_LEVEL": "warning",
            "SSL_CERT_FILE": str(directory / "ca.pem"),
        }
        process = await Process.start(
            *through, COMMAND, "serve",
            ready=r"serves gRPC on (\S+),", output=directory / f"{name}-{next(_logs)}.log",
            environment=environment | dict(settings),
        )  # fmt: skip
        return cls(name, process, database_url)

    async def stop(self) -> None:
        await self.channel.close()
        await self.process.stop()

    async def subscribe(
        self, tenant: str, urls: Sequence[str], *, same_type: bool = False, **settings: object
    ) -> list[str]:
        """One webhook for each URL, on event type 0 and up (all on type 0 if `same_type`); returns their ids."""
        room = asyncio.Semaphore(AT_ONCE)

        async def create(index: int, url: str) -> str:
            given = {"max_in_flight": IN_FLIGHT} | settings
            types = [event_type(0 if same_type else index)]
            webhook = webhook_pb2.Webhook(name=f"bench {index}", tenant_id=tenant, url=url, event_types=types, **given)
            async with room:
                request = webhook_service_pb2.CreateWebhookRequest(webhook=webhook)
                return (await self.webhooks.CreateWebhook(request)).webhook.id

        return await asyncio.gather(*(create(index, url) for index, url in enumerate(urls)))


class Naive:
    """The design of `naive.py`."""

    def __init__(self, process: Process, database_url: str) -> None:
        self.name = "naive"
        self.process = process
        self.database_url = database_url
        self.address = process.said

    @classmethod
    async def start(cls, database_url: str, directory: Path) -> Naive:
        process = await Process.start(
            sys.executable, "-m", "tests.bench.naive", database_url,
            ready=r"ready at (\S+)\n", output=directory / "naive.log", environment=CLEAN,
        )  # fmt: skip
        return cls(process, database_url)

    async def stop(self) -> None:
        await self.process.stop()

    async def subscribe(
        self, tenant: str, urls: Sequence[str], *, same_type: bool = False, **settings: object
    ) -> list[str]:
        """As Hookpost's; it knows no settings."""
        connection = await asyncpg.connect(self.database_url)
        try:
            rows = await connection.fetch(
                """insert into naive_webhooks (tenant, url, type, secret)
                   select $1, url, type, 'secret' from unnest($2::text[], $3::text[]) as i(url, type) returning id""",
                tenant,
                urls,
                [event_type(0 if same_type else index) for index in range(len(urls))],
            )
        finally:
            await connection.close()
        return [str(row["id"]) for row in rows]


Server = Hookpost | Naive
