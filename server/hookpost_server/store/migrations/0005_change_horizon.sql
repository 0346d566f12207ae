-- Where the change feed begins: changes before this position may have been removed, with the deliveries they tell of.
-- One row at most; none until something is removed.
create table change_horizon (
    single  boolean primary key default true,
    oldest  bigint not null,
    constraint one_row check (single)
);
