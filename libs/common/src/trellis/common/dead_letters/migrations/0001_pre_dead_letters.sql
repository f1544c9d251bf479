create table dead_letter (
  id             uuid primary key,
  account_id     text not null,
  queue          text not null,
  routing_key    text not null,
  subject        text,
  correlation_id text,
  reason         text not null,
  attempts       int not null,
  redriven_count int not null default 0,
  body           bytea not null,
  state          text not null default 'waiting' check (state in ('waiting', 'redriven', 'dropped')),
  dead_at        timestamptz not null default clock_timestamp(),
  settled_at     timestamptz,
  settled_by     text
);
comment on table dead_letter is 'Messages that could not be handled, until a person redrives or drops them; then kept 30 days';
comment on column dead_letter.id is 'Derived from queue and body: the same message found twice is one row';
comment on column dead_letter.account_id is 'The tenant; empty when the message does not say whose it is';
comment on column dead_letter.queue is 'The queue it could not be handled from, and goes back to';
comment on column dead_letter.routing_key is 'Type and version, as it was published';
comment on column dead_letter.reason is 'Why it was set aside, in words without personal data';
comment on column dead_letter.attempts is 'How often it was tried since it was put on its queue';
comment on column dead_letter.redriven_count is 'How often a person put it back';
comment on column dead_letter.body is 'Its bytes; ids only, no personal data';
comment on column dead_letter.settled_by is 'Who redrove or dropped it; null while it waits';
create index dead_letter_waiting on dead_letter (account_id, dead_at) where state = 'waiting';
create index dead_letter_settled on dead_letter (settled_at) where state <> 'waiting';

alter table dead_letter enable row level security;
create policy account_served on dead_letter using (
  case when coalesce((select current_setting('trellis.account', true)), '') = ''
  then true else account_id = (select current_setting('trellis.account', true)) end);
