alter table invite add column if not exists ready_token uuid;
comment on column invite.ready_token is 'The claim under which it was made ready; while the ledger row bears it too, it may be about to leave';
