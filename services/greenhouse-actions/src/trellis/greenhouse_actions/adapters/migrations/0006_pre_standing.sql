create table standing (
  account_id     text not null,
  application_id bigint not null,
  command        text not null,
  ordinal        int not null,
  shown_ordinal  int not null default 0,
  shown          text not null default '',
  is_unsure      boolean not null default false,
  correlationid  text not null,
  tries          int not null default 0,
  cause          text not null default '',
  due_at         timestamptz not null default clock_timestamp(),
  lease_until    timestamptz,
  primary key (account_id, application_id)
) with (fillfactor = 80);
comment on table standing is 'How each application stands and what recruiters see of it in Greenhouse, one row per application';
comment on column standing.account_id is 'The tenant';
comment on column standing.application_id is 'The application';
comment on column standing.command is 'JSON: the latest command to show something';
comment on column standing.ordinal is 'Ordinal of that command';
comment on column standing.shown_ordinal is 'Ordinal of the command that was carried out last';
comment on column standing.shown is 'What is shown; in notes, the problem that was told and is not solved';
comment on column standing.is_unsure is 'Whether a write may have changed what is shown since that was recorded';
comment on column standing.correlationid is 'Of the message that carried the command';
comment on column standing.tries is 'Writes that failed since one that did not';
comment on column standing.cause is 'Why the latest one failed';
comment on column standing.due_at is 'When it is written';
comment on column standing.lease_until is 'Until when one replica is writing it; null when none is';
create index standing_due on standing (account_id, due_at) where ordinal > shown_ordinal;

create table standing_refusal (
  account_id text primary key,
  revision   bigint not null,
  reason     text not null,
  remedy     text not null,
  until      timestamptz not null
);
comment on table standing_refusal is 'Accounts whose credential or custom field does not let us show how applications stand';
comment on column standing_refusal.account_id is 'The tenant';
comment on column standing_refusal.revision is 'Revision of the connection that was refused; another one is tried at once';
comment on column standing_refusal.reason is 'What is missing';
comment on column standing_refusal.remedy is 'What mends it';
comment on column standing_refusal.until is 'When it is tried again';

do $$
declare
  named text;
begin
  foreach named in array array['standing', 'standing_refusal'] loop
    execute format('alter table %I enable row level security', named);
    execute format(
      'create policy account_served on %I using (case when coalesce((select current_setting(''trellis.account'', true)), '''') = '''' '
      'then true else account_id = (select current_setting(''trellis.account'', true)) end)', named);
  end loop;
end $$;
