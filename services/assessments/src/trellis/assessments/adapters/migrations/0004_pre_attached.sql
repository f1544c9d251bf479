alter table unmatched_signal add column if not exists attached_to bigint;
alter table unmatched_signal add column if not exists attached_at timestamptz;
comment on column unmatched_signal.attached_to is 'The application whose result a person said it is; null while it waits';
comment on column unmatched_signal.attached_at is 'When that was done';
alter table invite add column if not exists attached_body_id uuid;
comment on column invite.attached_body_id is 'The sealed body of the webhook that a person attached, which names the address to read the report under; null for an invite that was matched';
