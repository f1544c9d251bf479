create table endpoint_hour (
  endpoint_id uuid not null references endpoint (id),
  hour        timestamptz not null,
  webhooks    int not null,
  primary key (endpoint_id, hour)
);
comment on table endpoint_hour is 'Authentic webhooks by endpoint and hour, five weeks back: what is usual, so that silence is noticed';
comment on column endpoint_hour.hour is 'The beginning of the hour';
