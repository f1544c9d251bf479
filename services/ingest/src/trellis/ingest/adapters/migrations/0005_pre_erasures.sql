alter table sealed_body add column address_hash text;
comment on column sealed_body.address_hash is 'Keyed hash of the address that the body names, by which an erasure finds it; null for an unreadable one';
create index sealed_body_of_address on sealed_body (account_id, address_hash) where address_hash is not null;

create table erased_address (
  account_id   text not null,
  address_hash text not null,
  erased_at    timestamptz not null default clock_timestamp(),
  primary key (account_id, address_hash)
);
comment on table erased_address is 'Addresses whose person was erased: bodies that name them are not kept; forgotten after a year';
comment on column erased_address.account_id is 'The tenant';
comment on column erased_address.address_hash is 'Keyed hash of the address';
comment on column erased_address.erased_at is 'When it was told';
create index erased_address_age on erased_address (erased_at);

alter table erased_address enable row level security;
create policy account_served on erased_address using (
  case when coalesce((select current_setting('trellis.account', true)), '') = '' then true
  else account_id = (select current_setting('trellis.account', true)) end);
