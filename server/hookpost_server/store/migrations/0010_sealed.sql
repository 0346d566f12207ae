-- The master keys that stored secrets may be sealed with. `hookpost rewrap` removes those that none is any more.
create table master_keys (
    id           bytea primary key,                -- made of the key by a hash
    create_time  timestamptz not null default now()
);

-- From now on nothing is written unsealed (domain/sealing.py: a version byte, 36 bytes around the ciphertext). What was
-- before, the next start seals, and then validates these constraints: they say that nothing unsealed is left.
alter table webhooks
    add constraint headers_sealed
        check (substr(headers, 1, 1) = '\x01' and length(headers) >= 37) not valid,
    add constraint request_digest_sealed
        check (substr(request_digest, 1, 1) = '\x01' and length(request_digest) >= 37) not valid;
alter table webhook_revisions
    add constraint headers_sealed
        check (substr(headers, 1, 1) = '\x01' and length(headers) >= 37) not valid;
alter table signing_keys
    add constraint secret_sealed
        check (substr(secret, 1, 1) = '\x01' and length(secret) >= 37) not valid;
