create table erasure (
  account_id   text not null,
  candidate_id bigint not null,
  why          text not null check (why in ('deleted', 'anonymized', 'by_hand')),
  erased_at    timestamptz not null default clock_timestamp(),
  primary key (account_id, candidate_id)
);
comment on table erasure is 'Candidates who were erased: nothing of them is sealed any more, however late it comes; ids only';
comment on column erasure.account_id is 'The tenant';
comment on column erasure.candidate_id is 'Who';
comment on column erasure.why is 'deleted and by_hand are for good; anonymized ends what was read of the candidate before';
comment on column erasure.erased_at is 'When it was first recorded; of an anonymisation the latest';

create table erased_address (
  account_id   text not null,
  address_hash text not null,
  erased_at    timestamptz not null default clock_timestamp(),
  primary key (account_id, address_hash)
);
comment on table erased_address is 'Addresses whose person was erased: late webhooks that name them are not kept; forgotten after a year';
comment on column erased_address.account_id is 'The tenant';
comment on column erased_address.address_hash is 'Keyed hash of the address';
comment on column erased_address.erased_at is 'When its person was erased';
create index erased_address_age on erased_address (erased_at);

create table merged_candidate (
  account_id        text not null,
  candidate_id      bigint not null,
  into_candidate_id bigint not null,
  primary key (account_id, candidate_id)
);
comment on table merged_candidate is 'Whose data is sealed under another candidate''s key since a merge';
comment on column merged_candidate.account_id is 'The tenant';
comment on column merged_candidate.candidate_id is 'Who was merged';
comment on column merged_candidate.into_candidate_id is 'Whose the applications are since';

alter table invite add column merged_from bigint[] not null default '{}';
alter table invite add column former_hashes text[] not null default '{}';
comment on column invite.former_hashes is 'Keyed hashes of other addresses that it was made ready for before; an erasure finds what names them';
comment on column invite.merged_from is 'Candidates whose invite it was before merges';

do $$
declare
  named text;
begin
  foreach named in array array['erasure', 'erased_address', 'merged_candidate'] loop
    execute format('alter table %I enable row level security', named);
    execute format(
      'create policy account_served on %I using (case when coalesce((select current_setting(''trellis.account'', true)), '''') = '''' '
      'then true else account_id = (select current_setting(''trellis.account'', true)) end)', named);
  end loop;
end $$;

-- Whoever was erased before this table was there; which of the facts told of it is not known any more.
insert into erasure (account_id, candidate_id, why, erased_at)
select account_id, candidate_id, 'anonymized', max(erased_at) from invite where erased_at is not null group by 1, 2;
