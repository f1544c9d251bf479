alter table endpoint add column refused_at timestamptz;
alter table endpoint add column refused_reason text;
comment on column endpoint.refused_at is 'When the latest webhook with the endpoint''s token was refused with 401; null when none was';
comment on column endpoint.refused_reason is 'Why, in one word of ours, such as signature_wrong';
