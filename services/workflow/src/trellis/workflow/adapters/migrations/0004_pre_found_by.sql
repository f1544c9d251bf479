alter table application add column visit_found_by text;
alter table application add column visit_entered_at timestamptz;
comment on column application.visit_found_by is 'How the present stage visit is known: by webhook, by a reading, by reconciliation';
comment on column application.visit_entered_at is 'Greenhouse''s time of the activity that told of it';
