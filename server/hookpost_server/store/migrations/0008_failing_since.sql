-- When the first attempt failed since the last one that succeeded: what a suspension goes by. Null when none has.
alter table webhook_streaks add column failing_since timestamptz;
create index webhook_streaks_failing on webhook_streaks (failing_since) where failing_since is not null;
