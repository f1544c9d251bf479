create table harvest_connection (
  account_id        text primary key,
  api_version       text not null check (api_version in ('v3')),
  base_url          text not null,
  token_url         text not null,
  sealed_credential bytea not null,
  service_user_id   bigint,
  settings          text not null default '{}',
  from_space        text check (from_space in ('job_interview_stage', 'application_stage')),
  revision          bigint not null default 1,
  created_at        timestamptz not null default clock_timestamp(),
  updated_at        timestamptz not null default clock_timestamp()
);
comment on table harvest_connection is 'How an account''s Greenhouse is reached, one row per account';
comment on column harvest_connection.api_version is 'Version of the Harvest API';
comment on column harvest_connection.base_url is 'Address of the Harvest API, without a slash at its end';
comment on column harvest_connection.token_url is 'Address of the token route';
comment on column harvest_connection.sealed_credential is 'JSON of client id and secret, sealed under the account''s key';
comment on column harvest_connection.service_user_id is 'Greenhouse''s user that our writes are made as; null is the credential''s own account';
comment on column harvest_connection.settings is 'JSON: the account''s own settings, by the names of the fact sheet; absent ones have defaults';
comment on column harvest_connection.from_space is 'Which id a move''s from_stage_id was seen to take; null until a move succeeded';
comment on column harvest_connection.revision is 'Counts changes of credential, address and settings: part of every cache key';

create table harvest_token (
  account_id  text not null references harvest_connection (account_id) on delete cascade,
  acting_user text not null,
  revision    bigint not null,
  sealed      bytea,
  serial      bigint not null default 0,
  refresh_at  timestamptz,
  expires_at  timestamptz,
  lease_until timestamptz,
  primary key (account_id, acting_user)
);
comment on table harvest_token is 'The one access token of a connection and acting user, shared by all replicas';
comment on column harvest_token.acting_user is 'Id of the Greenhouse user it acts as; empty for the credential''s own account';
comment on column harvest_token.revision is 'Revision of the connection it was fetched under; of another one it is not used';
comment on column harvest_token.sealed is 'The token, sealed under the account''s key; null before the first one';
comment on column harvest_token.serial is 'Counts tokens: a higher one is newer';
comment on column harvest_token.refresh_at is 'When 80 % of its life are over';
comment on column harvest_token.expires_at is 'When it dies by itself';
comment on column harvest_token.lease_until is 'Until when one replica is fetching the next token; null when none is';

create table stage_cache (
  account_id text not null,
  job_id     bigint not null,
  stages     text not null,
  read_at    timestamptz not null default clock_timestamp(),
  primary key (account_id, job_id)
);
comment on table stage_cache is 'Stages of jobs as last read; refreshed after 15 minutes, on an unknown id and on a change of the job';
comment on column stage_cache.stages is 'JSON: id, name, sort_order and active of each stage, deleted ones included';

create table observation (
  command_id     uuid primary key,
  account_id     text not null,
  application_id bigint not null,
  correlationid  text not null,
  causationid    text not null,
  tries          int not null default 0,
  cause          text not null default '',
  due_at         timestamptz not null default clock_timestamp(),
  lease_until    timestamptz,
  created_at     timestamptz not null default clock_timestamp()
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01);
comment on table observation is 'Applications to be read and told about; a row goes when its fact is in the outbox';
comment on column observation.command_id is 'The command that asked';
comment on column observation.causationid is 'Id of the message that carried the command';
comment on column observation.tries is 'Readings that failed';
comment on column observation.cause is 'Why the latest reading failed';
comment on column observation.lease_until is 'Until when one replica is reading it; null when none is';
create index observation_due on observation (account_id, due_at);

create table merged_candidate (
  account_id        text not null,
  candidate_id      bigint not null,
  into_candidate_id bigint not null,
  at                timestamptz not null default clock_timestamp(),
  primary key (account_id, candidate_id)
);
comment on table merged_candidate is 'Candidates that became part of another: old id to new id';

create table anonymized_candidate (
  account_id   text not null,
  candidate_id bigint not null,
  fields       text not null,
  at           timestamptz not null,
  primary key (account_id, candidate_id)
);
comment on table anonymized_candidate is 'Candidates that Greenhouse made unreadable: a note''s marker may be gone with them';
comment on column anonymized_candidate.fields is 'JSON: names of the anonymised fields; empty when Greenhouse named none';
comment on column anonymized_candidate.at is 'When the latest anonymisation was told';
