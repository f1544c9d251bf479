create table event (
  position    bigint generated always as identity primary key,
  tx          xid8 not null default pg_current_xact_id(),
  account_id  text not null,
  stream      uuid not null,
  version     int not null,
  type        text not null,
  body        bytea not null,
  recorded_at timestamptz not null default clock_timestamp(),
  handled_at  timestamptz not null,
  message_id  uuid not null,
  message     bytea,
  correlationid text not null,
  unique (stream, version)
) with (autovacuum_vacuum_insert_scale_factor = 0.05);
comment on table event is 'The log: one stream per application; rows are never changed or deleted';
comment on column event.stream is 'stream_id(account, application)';
comment on column event.version is 'Counts the events of the stream from 1; its uniqueness decides races';
comment on column event.type is 'Name and version of adapters/codec.py';
comment on column event.handled_at is 'The decider''s clock when it decided this';
comment on column event.message_id is 'The message that led to it';
comment on column event.message is 'That message as the decider saw it, on the first event it led to; ids only';
create index event_global on event (tx, position);

create table application (
  account_id     text not null,
  application_id bigint not null,
  stream         uuid not null,
  candidate_id   bigint,
  job_id         bigint,
  stage_id       bigint,
  stage_name     text,
  status         text not null,
  visit          text,
  version        int not null,
  deleted        boolean not null default false,
  updated_at     timestamptz not null default clock_timestamp(),
  primary key (account_id, application_id)
) with (fillfactor = 80);
comment on table application is 'Read model, written with the events: each application as it is known now';
create index application_by_candidate on application (account_id, candidate_id);

create table timer (
  account_id     text not null,
  stream         uuid not null,
  application_id bigint not null,
  kind           text not null,
  generation     int not null default 1,
  visit          text not null,
  due_at         timestamptz not null,
  correlationid  text not null,
  primary key (stream, kind)
);
comment on table timer is 'What time will bring back as a message; a fired timer goes in the transaction of its event';
create index timer_due on timer (due_at);

create table account (
  account_id text primary key,
  settings   text not null default '{}',
  applied_at timestamptz not null default clock_timestamp()
);
comment on table account is 'The tenants';

create table workflow (
  account_id text not null,
  name       text not null,
  version    int not null,
  document   text not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (account_id, name, version)
);
comment on table workflow is 'Every version of every workflow; rows are never changed';

create table live_workflow (
  account_id text not null,
  name       text not null,
  version    int not null,
  since      timestamptz not null default clock_timestamp(),
  primary key (account_id, name),
  foreign key (account_id, name, version) references workflow
);
comment on table live_workflow is 'Which version new stage visits are pinned to; no row means retired';
