create table connection (
  account_id      text primary key,
  base_url        text not null,
  organization_id text not null,
  api_key         bytea not null,
  settings        text not null default '{}',
  revision        int not null default 1,
  updated_at      timestamptz not null default clock_timestamp()
);
comment on table connection is 'One Coderbyte organization per account';
comment on column connection.account_id is 'The tenant';
comment on column connection.base_url is 'Where its API is';
comment on column connection.organization_id is 'Its slug, which webhooks bear';
comment on column connection.api_key is 'Sealed under a key of the key ring';
comment on column connection.settings is 'JSON: exact name -> value; what is not named has its default';
comment on column connection.revision is 'Counts changes; what a process cached of an older one is stale';
comment on column connection.updated_at is 'When it was last changed';

create table invite (
  command_id     uuid primary key,
  account_id     text not null,
  application_id bigint not null,
  candidate_id   bigint not null,
  visit          text not null,
  stage_id       bigint not null,
  assessment_id  text not null,
  correlationid  text not null,
  address_hash   text,
  address        bytea,
  link           bytea,
  known_attempts text[] not null default '{}',
  read_at        timestamptz,
  prepared_at    timestamptz not null default clock_timestamp(),
  doubted        boolean not null default false,
  follows        uuid,
  follow_kind    text check (follow_kind in ('shared', 'earlier')),
  progress       text not null default 'invited'
    check (progress in ('invited', 'started', 'completed', 'graded', 'reviewed')),
  completed_at   timestamptz,
  time_expired   boolean,
  poll_at        timestamptz,
  poll_step      int,
  overdue_at     timestamptz,
  lease_until    timestamptz,
  lease_token    uuid,
  erased_at      timestamptz,
  created_at     timestamptz not null default clock_timestamp(),
  check ((follows is null) = (follow_kind is null))
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01);
comment on table invite is 'What an invite is known by: written before it leaves, so that a webhook before its answer is matched';
comment on column invite.command_id is 'The ledger row it belongs to';
comment on column invite.account_id is 'The tenant';
comment on column invite.application_id is 'Whose invite it is';
comment on column invite.candidate_id is 'Under whose key its person''s data is sealed';
comment on column invite.visit is 'The stage visit it was asked for';
comment on column invite.stage_id is 'The stage of that visit';
comment on column invite.assessment_id is 'The vendor''s id of the assessment';
comment on column invite.correlationid is 'Of the command; its outcomes bear it';
comment on column invite.address_hash is 'Keyed hash of the address as sent; null after erasure';
comment on column invite.address is 'The address as sent, sealed under the candidate''s key; null after erasure';
comment on column invite.link is 'The private link, sealed likewise; null when none was told';
comment on column invite.known_attempts is 'Keyed hashes of the attempts and the listing that existed before it went out';
comment on column invite.read_at is 'When those were read';
comment on column invite.prepared_at is 'When it was last made ready to leave';
comment on column invite.doubted is 'Whether the outcome of an attempt was ever unknown';
comment on column invite.follows is 'The invite whose result stands for this one, which is not sent; null for one of its own';
comment on column invite.follow_kind is 'shared: another application''s invite; earlier: this application''s in an earlier visit';
comment on column invite.progress is 'How far the candidate is; never goes back';
comment on column invite.completed_at is 'When the vendor said that the assessment was completed';
comment on column invite.time_expired is 'Whether the clock ended it; null when not told';
comment on column invite.poll_at is 'When its report is read next; null when it is not to be read';
comment on column invite.poll_step is 'Place in the schedule of a report that is awaited; null for the slow reading';
comment on column invite.overdue_at is 'Since when the awaited report is overdue and a person should look; null when it is not';
comment on column invite.lease_until is 'Until when one reader holds the row';
comment on column invite.lease_token is 'Which reader';
comment on column invite.erased_at is 'When the person''s data was dropped';
comment on column invite.created_at is 'When it was first made ready';
create index invite_person on invite (account_id, address_hash, assessment_id) where address_hash is not null;
create index invite_application on invite (account_id, application_id);
create index invite_candidate on invite (account_id, candidate_id);
create index invite_follows on invite (follows) where follows is not null;
create index invite_poll on invite (account_id, poll_at) where poll_at is not null;

create table result (
  command_id       uuid not null,
  version          int not null,
  account_id       text not null,
  application_id   bigint not null,
  candidate_id     bigint not null,
  visit            text not null,
  assessment_id    text not null,
  assessment_name  text,
  score            double precision,
  code_score       double precision,
  mc_score         double precision,
  qualified        boolean,
  qualifying_score double precision,
  integrity        text not null,
  time_expired     boolean,
  minutes_taken    int,
  attempt_count    int not null,
  completed_at     timestamptz not null,
  report           bytea,
  published        boolean not null,
  read_at          timestamptz not null default clock_timestamp(),
  primary key (command_id, version)
);
comment on table result is 'Each visible version of an invite''s result';
comment on column result.command_id is 'The invite';
comment on column result.version is 'Counts visible changes, from 1';
comment on column result.account_id is 'The tenant';
comment on column result.application_id is 'Whose result it is';
comment on column result.candidate_id is 'Under whose key the report is sealed';
comment on column result.visit is 'The stage visit it is for';
comment on column result.assessment_id is 'The vendor''s id of the assessment';
comment on column result.assessment_name is 'As the report tells it';
comment on column result.score is 'Out of 100; null means unknown, never zero';
comment on column result.code_score is 'Of the coding challenges, likewise';
comment on column result.mc_score is 'Of the multiple-choice questions, likewise';
comment on column result.qualified is 'Null means unknown, not failed';
comment on column result.qualifying_score is 'The vendor''s pass mark';
comment on column result.integrity is 'none, suspected, detected or unknown';
comment on column result.time_expired is 'Whether the clock ended it; null when not told';
comment on column result.minutes_taken is 'Null means unknown';
comment on column result.attempt_count is 'Attempts the vendor listed since the invite';
comment on column result.completed_at is 'When it was completed, as far as known';
comment on column result.report is 'The whole report, sealed under the candidate''s key; null after erasure';
comment on column result.published is 'False when it is held: the invite was given up before';
comment on column result.read_at is 'When it was read';
create index result_application on result (account_id, application_id);
create index result_candidate on result (account_id, candidate_id);

create table unmatched_signal (
  id             uuid primary key,
  account_id     text not null,
  kind           text not null,
  address_hash   text,
  assessment_id  text,
  interview_id   text,
  sealed_body_id uuid not null,
  reason         text not null,
  received_at    timestamptz not null
);
comment on table unmatched_signal is 'Webhooks of the assessment vendor that no invite is known for; a person may look';
comment on column unmatched_signal.id is 'Of the fact''s envelope';
comment on column unmatched_signal.account_id is 'The tenant';
comment on column unmatched_signal.kind is 'started, completed, reviewed or interview_completed';
comment on column unmatched_signal.address_hash is 'Keyed hash of the address; deleted with the row when the person is erased';
comment on column unmatched_signal.assessment_id is 'What it named, if anything';
comment on column unmatched_signal.interview_id is 'What it named, if anything';
comment on column unmatched_signal.sealed_body_id is 'Where ingest keeps the sealed body';
comment on column unmatched_signal.reason is 'Why nothing matched';
comment on column unmatched_signal.received_at is 'When the webhook reached us';
create index unmatched_signal_account on unmatched_signal (account_id, received_at desc);
create index unmatched_signal_person on unmatched_signal (account_id, address_hash) where address_hash is not null;
