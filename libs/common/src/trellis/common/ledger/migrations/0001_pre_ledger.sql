create table intent (
  id               uuid primary key,
  account_id       text not null,
  unique_key       text,
  application_id   bigint not null,
  candidate_id     bigint,
  visit            text not null,
  action           text not null,
  vendor           text not null,
  workflow         text not null,
  workflow_version int not null,
  rule             text not null,
  command          text not null,
  state            text not null default 'waiting' check (state in
    ('waiting', 'attempting', 'unknown', 'in_doubt', 'parked', 'done', 'refused', 'superseded')),
  priority         smallint not null default 0,
  attempt          int not null default 0,
  absent_count     int not null default 0,
  retries          int not null default 0,
  revision         int not null default 0,
  due_at           timestamptz not null default clock_timestamp(),
  lease_until      timestamptz,
  lease_token      uuid,
  attempted_at     timestamptz,
  deadline_at      timestamptz,
  ended_at         timestamptz,
  cause            text not null default '',
  remedy           text not null default '',
  mended_by        text,
  resolved         text not null default '{}',
  correlationid    text not null,
  created_at       timestamptz not null default clock_timestamp(),
  updated_at       timestamptz not null default clock_timestamp(),
  unique (account_id, unique_key)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01);
comment on table intent is 'The ledger: one row per effect asked for, from intent to outcome';
comment on column intent.id is 'The command''s id: a command taken twice is one row';
comment on column intent.unique_key is 'A second identity (an invite''s stage visit and assessment); null for none';
comment on column intent.command is 'The command as JSON; ids only';
comment on column intent.state is 'states.py; in_doubt is shown as parked';
comment on column intent.priority is 'Lower goes first: 0 is user-facing work';
comment on column intent.attempt is 'Attempts begun';
comment on column intent.absent_count is 'Look-ups in a row that did not see the effect';
comment on column intent.retries is 'How often it was proven absent and tried again';
comment on column intent.revision is 'Counts state changes; part of the outcome message''s id';
comment on column intent.due_at is 'Not touched before';
comment on column intent.lease_until is 'Until when one worker holds the row';
comment on column intent.deadline_at is 'When the current attempt''s request has ended for certain; committed before it leaves';
comment on column intent.ended_at is 'When the current attempt''s request is known to have ended; null while it may run';
comment on column intent.mended_by is 'The fact that mends a parked row, null when a person must';
comment on column intent.resolved is 'JSON: what was fixed before or learnt by an attempt; no personal data';
create index intent_due on intent (account_id, priority, due_at) where state = 'waiting';
create index intent_unsure on intent (account_id, due_at) where state in ('attempting', 'unknown');
create index intent_application on intent (account_id, application_id);
create index intent_candidate on intent (account_id, candidate_id);
create index intent_parked on intent (account_id, updated_at) where state in ('parked', 'in_doubt');
create index intent_recent on intent (account_id, action, attempted_at);

create table journal (
  intent_id  uuid not null references intent (id),
  number     bigint generated always as identity,
  account_id text not null,
  at         timestamptz not null default clock_timestamp(),
  kind       text not null,
  attempt    int not null,
  state      text not null,
  text       text not null,
  request_id text,
  primary key (intent_id, number)
);
comment on table journal is 'All that happened to a ledger row, for people; never read by the ledger itself';
comment on column journal.kind is 'command, attempt, answer, look-up or outcome';
comment on column journal.request_id is 'The vendor''s own id of the request, if it gave one';

create table brake (
  account_id text not null,
  scope      text not null check (scope in ('account', 'connection', 'workflow')),
  name       text not null default '',
  reason     text not null default '',
  by_whom    text not null default '',
  since      timestamptz not null default clock_timestamp(),
  primary key (account_id, scope, name)
);
comment on table brake is 'While a row is here no attempt of its scope begins';
comment on column brake.name is 'The vendor or the workflow; empty for the account''s kill switch';

create table pause (
  account_id text not null,
  vendor     text not null,
  reason     text not null,
  remedy     text not null,
  since      timestamptz not null default clock_timestamp(),
  retry_at   timestamptz not null,
  primary key (account_id, vendor)
);
comment on table pause is 'Connections whose credential was rejected; one row is tried again at retry_at';

create table budget (
  account_id   text not null,
  vendor       text not null,
  tat          timestamptz not null default '-infinity',
  emission     double precision not null,
  burst        double precision not null,
  window_limit double precision,
  updated_at   timestamptz not null default clock_timestamp(),
  primary key (account_id, vendor)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01);
comment on table budget is 'The rate budget of a connection, shared by all replicas (generic cell rate algorithm)';
comment on column budget.tat is 'Theoretical arrival time of the next call';
comment on column budget.emission is 'Seconds one call costs';
comment on column budget.burst is 'Calls that may come at once';
comment on column budget.window_limit is 'Calls a window as the vendor''s headers last said; null until seen';
