-- Latencies by bucket, so that percentiles of any window can be told; domain/health.py has the bounds.
alter table health_minutes add column latencies integer[] not null default '{}';
alter table health_hours add column latencies integer[] not null default '{}';

-- What only the order of outcomes can tell.
create table webhook_streaks (
    tenant_id          text collate "C" not null,
    webhook_id         uuid not null,
    failures           integer not null,       -- deliveries that failed since the last one that succeeded
    last_success_time  timestamptz,
    last_failure_time  timestamptz,
    primary key (webhook_id, tenant_id)
) with (fillfactor = 70);

-- The settings that a request shows, by version: an attempt's request can be made again after they have changed.
create table webhook_revisions (
    tenant_id       text collate "C" not null,
    webhook_id      uuid not null,
    version         integer not null,
    headers         bytea not null,
    payload_format  smallint not null,
    primary key (webhook_id, version, tenant_id)
);
insert into webhook_revisions (tenant_id, webhook_id, version, headers, payload_format)
select tenant_id, id, version, headers, payload_format from webhooks;
alter table attempts add column webhook_version integer not null default 0;

-- The change feed. Rows are appended, so their transaction's number tells what a watcher has not seen yet, and a BRIN
-- index finds it at almost no cost.
alter table events add column changed_in bigint not null default (pg_current_xact_id()::text::bigint);
alter table attempts add column changed_in bigint not null default (pg_current_xact_id()::text::bigint);
create index events_by_change on events using brin (changed_in) with (pages_per_range = 16, autosummarize = on);
create index attempts_by_change on attempts using brin (changed_in) with (pages_per_range = 16, autosummarize = on);
-- Changes that neither an event nor an attempt tells of: cancelled, put back in the queue, taken back.
create table other_changes (
    tenant_id    text collate "C" not null,
    delivery_id  uuid not null,
    changed_in   bigint not null default (pg_current_xact_id()::text::bigint)
);
create index other_changes_by_change on other_changes (changed_in);

-- What a replay put back, and how it was before, so that the replay can be stopped.
create table replay_items (
    tenant_id    text collate "C" not null,
    replay_id    uuid not null,
    delivery_id  uuid not null,
    claim_count  integer not null,
    state        smallint,                     -- before the replay; null: the delivery was made by it
    finish_time  timestamptz,
    primary key (replay_id, delivery_id, tenant_id)
);
