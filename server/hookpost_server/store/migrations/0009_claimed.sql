-- Whether due_at is the end of a lease rather than when the next attempt is due: until then somebody has the delivery.
-- A release makes it due at once, which says as much.
alter table deliveries add column claimed boolean not null default false;
