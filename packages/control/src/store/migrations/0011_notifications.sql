-- The outbox. A notification is written in the transaction of what it tells, with a delivery for each place that wants it.

create table webhooks (
  id text constraint webhooks_pkey primary key,
  url text not null,
  events text[] not null,
  label text not null,
  secret bytea not null,
  created_at timestamptz not null,
  created_by text not null
);
comment on column webhooks.secret is 'sealed under a key that is not in this database';

create table notifications (
  id text constraint notifications_pkey primary key,
  type text not null,
  recipients text[] not null,
  request_id text,
  grant_id text,
  code text,
  words text not null,
  command text,
  created_at timestamptz not null
);

create table deliveries (
  id bigint generated always as identity constraint deliveries_pkey primary key,
  notification_id text not null constraint deliveries_notification_fkey references notifications (id) on delete cascade,
  target text not null,
  recipient text,
  webhook_id text constraint deliveries_webhook_fkey references webhooks (id) on delete cascade,
  attempts integer not null default 0,
  next_at timestamptz not null,
  claimed_until timestamptz,
  state text not null default 'due' constraint deliveries_state_known check (state in ('due', 'delivered', 'abandoned')),
  detail text,
  constraint deliveries_place_one check ((recipient is null) <> (webhook_id is null))
);
create index deliveries_due_idx on deliveries (target, next_at, id) where state = 'due';
create index deliveries_notification_idx on deliveries (notification_id);
comment on column deliveries.target is 'what fails and recovers together: a webhook''s id, or `mail`';

create table delivery_targets (
  target text constraint delivery_targets_pkey primary key,
  failures integer not null default 0,
  retry_at timestamptz,
  last_delivered_at timestamptz,
  detail text
);
comment on table delivery_targets is 'how a target has been doing; a failing one is tried again for ever, with growing pauses';
