"""The design that first comes to mind, as the yardstick: each step its own query, a poller, aiohttp.

A process of its own: `python -m tests.bench.naive DATABASE_URL` prints its gRPC address. It speaks hookpost.v1's
EmitEvent and stores, signs and sends; it has no leases, retries, limits or batching. The bench writes its webhooks
straight into its table.
"""

from __future__ import annotations

import asyncio
import hmac
import sys
import uuid

import aiohttp
import asyncpg
import grpc

from hookpost.v1 import event_service_pb2, event_service_pb2_grpc

POLL = 0.05  # seconds
SCHEMA = """
    create table naive_events (
        id uuid primary key, type text, payload jsonb, at timestamptz default now());
    create table naive_webhooks (id serial primary key, tenant text, url text, type text, secret text);
    create index naive_webhooks_by_type on naive_webhooks (tenant, type);
    create table naive_deliveries (
        id uuid primary key, event_id uuid, webhook_id int, state text default 'pending', at timestamptz default now());
    create index naive_due on naive_deliveries (at) where state = 'pending';
    create table naive_attempts (
        id serial primary key, delivery_id uuid, webhook_id int, status int, body text, at timestamptz default now());
    create index naive_attempts_by_webhook on naive_attempts (webhook_id, at);
"""


class Service(event_service_pb2_grpc.EventServiceServicer):
    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def EmitEvent(self, request, context):
        event_id = uuid.uuid4()
        await self._pool.execute(
            "insert into naive_events (id, type, payload) values ($1, $2, $3)", event_id, request.type, request.json
        )
        webhooks = await self._pool.fetch(
            "select id from naive_webhooks where tenant = $1 and type = $2", request.tenant_id, request.type
        )
        for webhook in webhooks:
            await self._pool.execute(
                "insert into naive_deliveries (id, event_id, webhook_id) values ($1, $2, $3)",
                uuid.uuid4(),
                event_id,
                webhook["id"],
            )
        return event_service_pb2.EmitEventResponse(event_id=str(event_id), delivery_count=len(webhooks))


async def deliver(pool: asyncpg.Pool, session: aiohttp.ClientSession, delivery: asyncpg.Record) -> None:
    event = await pool.fetchrow("select * from naive_events where id = $1", delivery["event_id"])
    webhook = await pool.fetchrow("select * from naive_webhooks where id = $1", delivery["webhook_id"])
    body = event["payload"].encode()
    headers = {
        "content-type": "application/json",
        "webhook-id": str(event["id"]),
        "hookpost-delivery": str(delivery["id"]),
        "x-signature": hmac.digest(webhook["secret"].encode(), body, "sha256").hex(),
    }
    async with session.post(webhook["url"], data=body, headers=headers) as response:
        answer = await response.text()
    await pool.execute(
        "insert into naive_attempts (delivery_id, webhook_id, status, body) values ($1, $2, $3, $4)",
        delivery["id"],
        webhook["id"],
        response.status,
        answer,
    )
    await pool.execute("update naive_deliveries set state = 'done' where id = $1", delivery["id"])


async def poll(pool: asyncpg.Pool) -> None:
    async with aiohttp.ClientSession() as session:
        while True:
            due = await pool.fetch(
                "select * from naive_deliveries where state = 'pending' and at <= now() order by at limit 100"
            )
            if due:
                await asyncio.gather(*(deliver(pool, session, delivery) for delivery in due))
            else:
                await asyncio.sleep(POLL)


async def main(database_url: str) -> None:
    pool = await asyncpg.create_pool(database_url, min_size=10, max_size=10)
    await pool.execute(SCHEMA)
    server = grpc.aio.server()
    event_service_pb2_grpc.add_EventServiceServicer_to_server(Service(pool), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"ready at 127.0.0.1:{port}", flush=True)
    await poll(pool)


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(*sys.argv[1:]))
