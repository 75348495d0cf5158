create table requests (
  id text not null,
  lifecycle text not null generated always as ('request') stored,
  state text not null,
  previous_state text,
  why text,
  requester text not null,
  on_behalf_of text,
  resource_id text not null,
  resource text not null,
  outpost text not null,
  digest text not null,
  document text not null,
  signatures jsonb not null,
  judged_policy bigint not null,
  vote_count integer not null default 0,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  remind_at timestamptz,
  escalate_at timestamptz,
  decided_at timestamptz,
  constraint requests_pkey primary key (id),
  constraint requests_digest_key unique (digest),
  constraint requests_id_form check (id ~ '^req_[0-9a-hjkmnp-tv-z]{26}$'),
  constraint requests_state_legal foreign key (lifecycle, previous_state, state)
    references state_transition (lifecycle, from_state, to_state),
  constraint requests_state_first check (previous_state is not null or state = 'pending'),
  constraint requests_decided_at_known check ((state = 'pending') = (decided_at is null)),
  constraint requests_vote_count_bounded check (vote_count between 0 and 200)
);

create trigger requests_previous_state before update on requests
  for each row execute function remember_previous_state();

create index requests_expires_at_idx on requests (expires_at) where state = 'pending';
create index requests_remind_at_idx on requests (remind_at) where state = 'pending' and remind_at is not null;
create index requests_escalate_at_idx on requests (escalate_at) where state = 'pending' and escalate_at is not null;
create index requests_judged_policy_idx on requests (judged_policy) where state = 'pending';
create index requests_requester_idx on requests (requester, id);
create index requests_on_behalf_of_idx on requests (on_behalf_of, id) where on_behalf_of is not null;
create index requests_state_idx on requests (state, id);

comment on table requests is 'who asked for what; the signed document decides, the columns beside it are for finding it';
comment on column requests.why is 'a code, where the state alone does not say why';
comment on column requests.judged_policy is 'newest policy version under which the decision was found unchanged';
comment on column requests.remind_at is 'when the next reminder is due; null for none';
comment on column requests.escalate_at is 'when the next escalation opens; null for none';

create table votes (
  id text not null,
  request_id text not null,
  approver text not null,
  verdict text not null,
  digest text not null,
  document text not null,
  signatures jsonb not null,
  cast_at timestamptz not null,
  constraint votes_pkey primary key (id),
  constraint votes_digest_key unique (digest),
  constraint votes_request_fkey foreign key (request_id) references requests (id),
  constraint votes_id_form check (id ~ '^vot_[0-9a-hjkmnp-tv-z]{26}$'),
  constraint votes_verdict_known check (verdict in ('approve', 'deny'))
);

create index votes_request_idx on votes (request_id, cast_at);
create index votes_approver_idx on votes (approver, request_id);

comment on table votes is 'every vote ever cast; who voted how is in the signed document';
