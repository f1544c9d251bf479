-- While one account is served (`trellis.account`, set for a transaction by store/tenancy.py) only its rows are seen
-- and written; without it the policy lets everything pass. The setting is looked up once a statement, not once a row.
do $$
declare
  named text;
begin
  foreach named in array array['event', 'application', 'timer', 'account', 'workflow', 'live_workflow'] loop
    execute format('alter table %I enable row level security', named);
    execute format(
      'create policy account_served on %I using (case when coalesce((select current_setting(''trellis.account'', true)), '''') = '''' '
      'then true else account_id = (select current_setting(''trellis.account'', true)) end)', named);
  end loop;
end $$;
