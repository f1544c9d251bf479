create table epoch (
  number bigint generated always as identity primary key,
  nonce  uuid not null unique,
  since  timestamptz not null default clock_timestamp()
);
comment on table epoch is 'The epochs of this database; the newest is marked at the broker too, so that a restored one is known';

create table restoration (
  number   bigint generated always as identity primary key,
  as_of    timestamptz not null,
  found_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  by_whom  text not null default ''
);
create unique index restoration_open on restoration ((true)) where ended_at is null;
comment on table restoration is 'While a row without ended_at is here no attempt begins: the world may be ahead of this ledger';
comment on column restoration.as_of is 'When the newest epoch that the restored database knows began: what came after may be missing';
