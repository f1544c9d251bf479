create table erasure_replay (
  number      bigint generated always as identity primary key,
  count       int not null,
  replayed_at timestamptz not null default clock_timestamp()
);
comment on table erasure_replay is 'When a journal of erasures was applied again, as after a restore';
comment on column erasure_replay.number is 'Counts them';
comment on column erasure_replay.count is 'How many erasures it had';
comment on column erasure_replay.replayed_at is 'When all of them were on their way';
