-- Who may call. The secret itself is nowhere: it is 256 random bits, so a fast hash of it is enough.
create table api_keys (
    tenant_id      text collate "C" not null,       -- '*': every tenant
    id             uuid not null,
    name           text not null,
    scopes         smallint[] not null,
    digest         bytea not null,                  -- SHA-256 of the key's whole text
    create_time    timestamptz not null default now(),
    expire_time    timestamptz,
    revoke_time    timestamptz,
    last_use_time  timestamptz,
    primary key (id, tenant_id)
);
create index api_keys_by_tenant on api_keys (tenant_id, id);

-- Who did what. A row is written in the transaction of its deed.
create table audit_log (
    tenant_id   text collate "C" not null,          -- '*': what is of no one tenant
    id          bigint generated always as identity,
    time        timestamptz not null default now(),
    actor       text not null,                      -- an API key's id, or in a word what else it was
    actor_name  text not null,
    address     text not null,                      -- the caller's, without port; empty: this machine's own
    action      text not null,
    target      text not null,
    details     jsonb not null,                     -- names of fields, numbers; never a value that could be secret
    primary key (id, tenant_id)
);
create index audit_log_by_tenant on audit_log (tenant_id, id);
create index audit_log_by_time on audit_log using brin (time);

-- Keeps mistakes and injected statements from rewriting the past; only the table's owner could get around it.
create function audit_log_append_only() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and current_setting('hookpost.retention', true) = 'on' then
        return old;
    end if;
    raise exception 'audit_log is append-only' using errcode = 'insufficient_privilege';
end $$;
create trigger audit_log_append_only before update or delete on audit_log
    for each row execute function audit_log_append_only();
create trigger audit_log_not_truncated before truncate on audit_log
    for each statement execute function audit_log_append_only();
