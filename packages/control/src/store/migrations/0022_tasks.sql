-- What outposts are to do, and what they have told us already.

create table tasks (
  id text not null,
  outpost text not null,
  type text not null,
  grant_id text,
  resource text,
  payload jsonb not null,
  state text not null default 'open',
  attempts integer not null default 0,
  next_at timestamptz not null,
  created_at timestamptz not null,
  done_at timestamptz,
  code text,
  detail text,
  constraint tasks_pkey primary key (id),
  constraint tasks_id_form check (id ~ '^tsk_[0-9a-hjkmnp-tv-z]{26}$'),
  constraint tasks_type_known check (type in ('issue', 'end', 'close', 'check', 'configure')),
  constraint tasks_state_known check (state in ('open', 'done', 'failed')),
  constraint tasks_grant_named check ((type in ('issue', 'end')) = (grant_id is not null)),
  constraint tasks_done_says_when check ((state = 'open') = (done_at is null))
);

create unique index tasks_open_grant_key on tasks (grant_id, type) where state = 'open' and grant_id is not null;
create index tasks_due_idx on tasks (outpost, next_at, id) where state = 'open';
create index tasks_done_at_idx on tasks (done_at) where state <> 'open';

comment on table tasks is 'sent until receipted, at least once; a row opens nothing, for evidence is assembled when it is sent and judged by the outpost';
comment on column tasks.next_at is 'when it is sent (again); moved ahead each time it is taken';

create table link_inbox (
  id text not null,
  outpost text not null,
  received_at timestamptz not null,
  constraint link_inbox_pkey primary key (id)
);

create index link_inbox_received_at_idx on link_inbox (received_at);

comment on table link_inbox is 'receipts and events that were applied: each takes effect once, however often it is sent';
