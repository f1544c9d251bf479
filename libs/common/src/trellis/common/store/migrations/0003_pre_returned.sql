alter table outbox
  add column queue          text,
  add column redriven_count int not null default 0;
comment on column outbox.queue is 'The one queue a redriven message goes back to; null goes by the routing key';
comment on column outbox.redriven_count is 'How often a person put the message back on its queue; 0 but for those';
