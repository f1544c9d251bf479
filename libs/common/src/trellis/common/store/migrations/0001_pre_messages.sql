create table inbox (
  account_id  text not null,
  key         text not null,
  received_at timestamptz not null default clock_timestamp(),
  primary key (account_id, key)
);
comment on table inbox is 'Messages already taken in; kept 30 days, longer than any redelivery';
comment on column inbox.key is 'id:SOURCE/ID of the envelope, or content:KEY of its second identity';
create index inbox_by_age on inbox (received_at);

create table outbox (
  position     bigint generated always as identity primary key,
  id           uuid not null,
  account_id   text not null,
  routing_key  text not null,
  body         bytea not null,
  created_at   timestamptz not null default clock_timestamp(),
  lease_until  timestamptz,
  sent_at      timestamptz
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01);
comment on table outbox is 'Messages to publish, written in the transaction that decided them';
comment on column outbox.id is 'The id of the envelope';
comment on column outbox.body is 'The encoded envelope; ids only, no personal data';
comment on column outbox.lease_until is 'Until when one relay has claimed the row; null when none has';
comment on column outbox.sent_at is 'When the broker confirmed it; null while it is to be sent';
create index outbox_unsent on outbox (position) where sent_at is null;
create index outbox_sent on outbox (sent_at) where sent_at is not null;

create table data_key (
  account_id text not null,
  subject    text not null,
  wrapped    bytea not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (account_id, subject)
);
comment on table data_key is 'Keys that seal personal data and secrets; dropping a row makes what it sealed unreadable';
comment on column data_key.subject is 'account, or candidate:ID';
comment on column data_key.wrapped is 'The key, sealed under a key of the key ring';
