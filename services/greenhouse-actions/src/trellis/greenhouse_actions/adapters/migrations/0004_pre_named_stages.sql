create table named_stage (
  account_id text not null,
  name       text not null,
  stage_id   bigint not null,
  seen_at    timestamptz not null default clock_timestamp(),
  primary key (account_id, name, stage_id)
);
comment on table named_stage is 'Which stages bore the names that workflows use, so that a renamed or deleted one is told as such';
comment on column named_stage.account_id is 'The tenant';
comment on column named_stage.name is 'The name as a workflow has it';
comment on column named_stage.stage_id is 'A stage that had this name and was active';
comment on column named_stage.seen_at is 'When it last had';

do $$
declare
  named text;
begin
  foreach named in array array['named_stage'] loop
    execute format('alter table %I enable row level security', named);
    execute format(
      'create policy account_served on %I using (case when coalesce((select current_setting(''trellis.account'', true)), '''') = '''' '
      'then true else account_id = (select current_setting(''trellis.account'', true)) end)', named);
  end loop;
end $$;
