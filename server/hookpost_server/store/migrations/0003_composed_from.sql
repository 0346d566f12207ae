-- What an attempt's request was made from, exactly: the keys of the webhook's version, and the server's own part.
alter table webhook_revisions
    add column key_ids uuid[] not null default '{}',                   -- newest first
    add column key_expire_times timestamptz[] not null default '{}';   -- theirs, as set in this version
insert into webhook_revisions (tenant_id, webhook_id, version, headers, payload_format, key_ids, key_expire_times)
select w.tenant_id, w.id, w.version, w.headers, w.payload_format,
    array_agg(k.id order by k.expire_time desc nulls first, k.create_time desc, k.id desc),
    array_agg(k.expire_time order by k.expire_time desc nulls first, k.create_time desc, k.id desc)
from webhooks w
join signing_keys k on k.webhook_id = w.id and k.tenant_id = w.tenant_id
    and (k.expire_time is null or k.expire_time > now())
group by w.id, w.tenant_id
on conflict (webhook_id, version, tenant_id) do update
    set key_ids = excluded.key_ids, key_expire_times = excluded.key_expire_times;

create table composers (
    id                integer generated always as identity primary key,
    user_agent        text not null,
    signature_header  text not null,
    unique (user_agent, signature_header)
);
alter table attempts add column composer_id integer not null default 0;  -- 0: made before this was noted
