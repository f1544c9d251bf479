create table reconciliation (
  account_id     text primary key references harvest_connection (account_id) on delete cascade,
  mark           timestamptz,
  longest_s      double precision,
  due_at         timestamptz not null default clock_timestamp(),
  lease_until    timestamptz,
  tries          int not null default 0,
  cause          text not null default '',
  completed_at   timestamptz,
  read_count     bigint not null default 0
);
comment on table reconciliation is 'How far each account''s Greenhouse was compared with what we were told, one row per connection';
comment on column reconciliation.mark is 'Greenhouse''s time up to which everything was compared; null before the first comparison';
comment on column reconciliation.longest_s is 'Longest new part of a window, in seconds, while longer ones are too full; null is the usual one';
comment on column reconciliation.due_at is 'When the next window is compared';
comment on column reconciliation.lease_until is 'Until when one replica is comparing it; null when none is. Also the fence of that replica''s writes';
comment on column reconciliation.tries is 'Windows that failed since the last one that did not';
comment on column reconciliation.cause is 'Why the latest window failed; empty when it did not';
comment on column reconciliation.completed_at is 'When the comparison last reached the present';
comment on column reconciliation.read_count is 'Applications that were read and told about';
create index reconciliation_due on reconciliation (due_at);
