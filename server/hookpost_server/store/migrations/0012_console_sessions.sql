-- Browsers that have signed in to the console. The session itself is in the browser only.
create table console_sessions (
    digest         bytea primary key,               -- SHA-256 of the session
    key_id         uuid not null,                   -- the API key that opened it
    create_time    timestamptz not null default now(),
    last_use_time  timestamptz not null default now()
);
