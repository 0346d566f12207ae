-- Ids are UUIDv7 made by the server. Primary keys begin with the id, so that new rows go to one right edge, and carry
-- the tenant, so that every table can be distributed by it. Times are the database's own.

create table event_types (
    name            text collate "C" primary key,
    group_name      text not null,
    description     text not null default '',
    json_schema     text not null default '',
    example         text not null default '{}',
    enforce_schema  boolean not null default false,
    deprecated      boolean not null default false,
    built_in        boolean not null default false,
    version         integer not null default 1,
    create_time     timestamptz not null default now(),
    update_time     timestamptz not null default now()
);

create table webhooks (
    tenant_id       text collate "C" not null,
    id              uuid not null,
    name            text not null,
    url             text not null,
    event_types     text[] not null,
    headers         bytea not null,                 -- JSON object
    retry_schedule  smallint not null,
    retry_delays    double precision[] not null,    -- seconds
    retry_jitter    double precision not null,
    timeout         double precision not null,      -- seconds
    payload_format  smallint not null,
    max_in_flight   integer not null,
    rate_limit      double precision not null,      -- attempts a second; 0: none
    labels          jsonb not null,
    state           smallint not null,
    state_reason    text not null default '',
    version         integer not null default 1,
    request_id      text collate "C",
    request_digest  bytea,
    create_time     timestamptz not null default now(),
    update_time     timestamptz not null default now(),
    primary key (id, tenant_id),
    constraint webhook_state check (state between 1 and 3),
    constraint reason_only_when_inactive check (state <> 1 or state_reason = '')
);
create index webhooks_by_tenant on webhooks (tenant_id, id);
create unique index webhooks_by_request on webhooks (request_id, tenant_id) where request_id is not null;

-- What an event's type is looked up in: one row for each entry of webhooks.event_types.
create table subscriptions (
    tenant_id   text collate "C" not null,
    pattern     text collate "C" not null,
    webhook_id  uuid not null,
    primary key (tenant_id, pattern, webhook_id)
);
create index subscriptions_by_webhook on subscriptions (webhook_id, tenant_id);

create table signing_keys (
    tenant_id    text collate "C" not null,
    webhook_id   uuid not null,
    id           uuid not null,
    secret       bytea not null,
    request_id   text collate "C",
    create_time  timestamptz not null default now(),
    expire_time  timestamptz,                       -- null: the current key
    primary key (webhook_id, id, tenant_id)
);
create unique index one_current_key on signing_keys (webhook_id, tenant_id) where expire_time is null;

create table idempotency_keys (
    key          text collate "C" not null,
    tenant_id    text collate "C" not null,
    event_id     uuid not null,
    fingerprint  bytea not null,
    primary key (key, tenant_id)
);

-- Partitioned by day, by the time inside the id; store/partitions.py makes the partitions.
create table events (
    tenant_id        text collate "C" not null,
    id               uuid not null,
    type             text collate "C" not null,
    payload          bytea not null,
    occur_time       timestamptz not null,
    idempotency_key  text collate "C",
    primary key (id, tenant_id)
) partition by range (id);
create index events_by_tenant on events (tenant_id, id);

-- The log entry and the queue in one row. A delivery's id is made from its event's and its webhook's, so the primary
-- key itself forbids a second entry. A claim moves due_at to the end of the lease and raises claim_count; so does the
-- outcome that uses the claim up.
create table deliveries (
    tenant_id      text collate "C" not null,
    id             uuid not null,
    event_id       uuid not null,
    webhook_id     uuid not null,
    type           text collate "C" not null,
    due_at         timestamptz not null,
    finish_time    timestamptz,
    claim_count    integer not null default 0,
    state          smallint not null default 1,
    attempt_count  smallint not null default 0,
    trigger        smallint not null default 1,
    last_result    smallint,
    last_status    smallint,
    primary key (id, tenant_id),
    constraint delivery_state check (state between 1 and 4),
    constraint finished_or_pending check ((finish_time is null) = (state = 1))
) partition by range (id);
create index deliveries_due on deliveries (tenant_id, webhook_id, due_at) where state = 1;
create index deliveries_by_webhook on deliveries (tenant_id, webhook_id, id);
create index deliveries_failed on deliveries (tenant_id, webhook_id, id) where state = 3;

create table attempts (
    tenant_id         text collate "C" not null,
    delivery_id       uuid not null,
    start_time        timestamptz not null,
    latency           integer not null,             -- microseconds
    number            smallint not null,
    trigger           smallint not null,
    result            smallint not null,
    status            smallint,
    truncated         boolean not null,
    url               text not null,
    error             text not null,
    response_headers  bytea not null,               -- JSON array of [name, value]
    response_body     bytea not null,
    primary key (delivery_id, number, tenant_id),
    constraint attempt_number check (number > 0)
) partition by range (delivery_id);

-- Counted in the statement that records the outcomes, so that the figures cannot drift from the log.
create table health_minutes (
    tenant_id        text collate "C" not null,
    webhook_id       uuid not null,
    minute           timestamptz not null,
    succeeded        integer not null,              -- deliveries that ended so in this minute
    failed           integer not null,
    attempts         integer not null,
    latency_sum      bigint not null,               -- microseconds, of all attempts
    primary key (tenant_id, webhook_id, minute)
) with (fillfactor = 70);

create table health_hours (
    tenant_id        text collate "C" not null,
    webhook_id       uuid not null,
    hour             timestamptz not null,
    succeeded        integer not null,
    failed           integer not null,
    attempts         integer not null,
    latency_sum      bigint not null,
    primary key (tenant_id, webhook_id, hour)
) with (fillfactor = 70);
