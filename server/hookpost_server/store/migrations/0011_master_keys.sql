-- The master keys that stored secrets may be sealed with (domain/sealing.py): headers, request digests and signing keys.
-- `hookpost rewrap` removes those that nothing is sealed with any more. What is not sealed yet, the next start seals, and
-- then adds constraints by which nothing else can be stored (store/vault.py).
create table master_keys (
    id           bytea primary key,                -- made of the key by a hash
    create_time  timestamptz not null default now()
);
