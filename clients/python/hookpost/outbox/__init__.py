"""A transactional outbox: events are written with what they tell of, in one transaction, and emitted afterwards.

A crash between the two then loses nothing and invents nothing. Each row's id is its idempotency key, so an event that
was emitted but not yet deleted is not accepted twice.

    async with connection.transaction():                     # or a SQLAlchemy session: `hookpost.outbox.sqlalchemy`
        await connection.execute("insert into orders …")
        await outbox.asyncpg.add(connection, Event(type="Order.Created", payload={"id": 1}))

    async with AsyncClient() as client:                      # in a process or task of its own; several may run
        await Relay(outbox.asyncpg.Source(pool), client).run()

The table is `SCHEMA`; put it into your migrations. Rows that the server refuses for good (a payload that does not fit
its schema) stay, with `error` saying why, and hold nobody up.
"""

from hookpost.outbox.relay import Entry, Relay, Source

TABLE = "hookpost_outbox"
SCHEMA = f"""
create table if not exists {TABLE} (
    id              uuid primary key,        -- the idempotency key
    type            text not null,
    tenant_id       text not null,
    payload         bytea not null,          -- JSON, sent as it is
    occur_time      timestamptz not null,
    error           text,                    -- why it was refused for good; such rows stay until you delete them
    number          bigint generated always as identity
);
create index if not exists {TABLE}_waiting on {TABLE} (number) where error is null;
"""

__all__ = ["SCHEMA", "TABLE", "Entry", "Relay", "Source"]
