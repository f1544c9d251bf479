alter table live_workflow add column went_live_at timestamptz not null default clock_timestamp();
update live_workflow set went_live_at = since;
comment on column live_workflow.went_live_at is 'Since when it is live in any version; a retired one begins anew';

alter table application add column offered text;
comment on column application.offered is 'The adopted visit that waits for a person''s yes; null when none does';
create index application_offered on application (account_id) where offered is not null;
