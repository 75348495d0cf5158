-- Connections made with keys, as outposts report them.

create table sessions (
  id text not null,
  grant_id text not null,
  lease_id text,
  outpost text not null,
  lifecycle text not null generated always as ('session') stored,
  state text not null,
  previous_state text,
  source_ip text,
  database text,
  application text,
  tls text,
  opened_at timestamptz not null,
  end_asked_at timestamptz,
  closed_at timestamptz,
  why text,
  words text,
  actions bigint,
  refused bigint,
  rows bigint,
  bytes_in bigint,
  bytes_out bigint,
  constraint sessions_pkey primary key (id),
  constraint sessions_id_form check (id ~ '^ses_[0-9a-hjkmnp-tv-z]{26}$'),
  constraint sessions_grant_fkey foreign key (grant_id) references grants (id),
  constraint sessions_state_legal foreign key (lifecycle, previous_state, state)
    references state_transition (lifecycle, from_state, to_state),
  constraint sessions_state_first check (previous_state is not null or state = 'open'),
  constraint sessions_closed_says_when check ((state = 'closed') = (closed_at is not null)),
  constraint sessions_closed_says_why check ((state = 'closed') = (why is not null))
);

create trigger sessions_previous_state before update on sessions
  for each row execute function remember_previous_state();

create index sessions_grant_idx on sessions (grant_id, id);
create index sessions_open_idx on sessions (id) where state = 'open';

comment on table sessions is 'connections made with keys, as the outposts report them; the outpost''s own store is the truth';
comment on column sessions.application is 'as the client calls itself';
comment on column sessions.end_asked_at is 'when somebody asked for its end; the outpost''s task follows from it once';
