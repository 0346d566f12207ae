-- Null: removed by retention before the row itself.
alter table events alter column payload drop not null;
alter table attempts alter column response_headers drop not null, alter column response_body drop not null;

-- A key has no time of its own; its event's id has.
create index idempotency_keys_by_event on idempotency_keys (event_id);
