create table setup_look (
  account_id text primary key,
  due_at     timestamptz not null,
  looked_at  timestamptz
);
comment on table setup_look is 'When each account''s set-up is looked at next, by whichever replica is first';
comment on column setup_look.account_id is 'The tenant; empty for what concerns all of them';
comment on column setup_look.due_at is 'When; whoever takes the look puts it off first, so that a killed one delays only one';
comment on column setup_look.looked_at is 'When a look was last finished; null before the first';

create table setup_fault (
  account_id text not null,
  check_name text not null,
  subject    text not null,
  fault      text not null,
  since      timestamptz not null default clock_timestamp(),
  primary key (account_id, check_name, subject)
);
comment on table setup_fault is 'Faults of set-ups as the latest look found them; a row goes when its fault does';
comment on column setup_fault.account_id is 'The tenant; empty for what concerns all of them';
comment on column setup_fault.check_name is 'Which check found it';
comment on column setup_fault.subject is 'What it is about where one check may find several; else empty';
comment on column setup_fault.fault is 'What is wrong, in words without personal data';
comment on column setup_fault.since is 'When it was first found';

do $$
declare
  named text;
begin
  foreach named in array array['setup_look', 'setup_fault'] loop
    execute format('alter table %I enable row level security', named);
    execute format(
      'create policy account_served on %I using (case when coalesce((select current_setting(''trellis.account'', true)), '''') = '''' '
      'then true else account_id = (select current_setting(''trellis.account'', true)) end)', named);
  end loop;
end $$;
