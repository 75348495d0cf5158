-- Single actions: those that a session keeps waiting, their runs, and what was used in sessions.

alter table requests
  add column within_grant text,
  add column within_session text,
  add column nonce text,
  add column asked_signature jsonb,
  add constraint requests_held_whole check (num_nulls(within_grant, within_session, nonce, asked_signature) in (0, 4));

create unique index requests_held_key on requests (within_grant, nonce) where within_grant is not null;
create index requests_held_session_idx on requests (within_session) where state = 'pending' and within_session is not null;

comment on column requests.within_session is 'the session that keeps the action waiting; null for what was asked for outside of one';
comment on column requests.nonce is 'by which a hold is known, so that it is filed once however often it is told of';
comment on column requests.asked_signature is 'the outpost''s, over what its session asks for; evidence carries it';

alter table tasks
  drop constraint tasks_type_known,
  drop constraint tasks_grant_named,
  add column result jsonb,
  add constraint tasks_type_known
    check (type in ('issue', 'end', 'run', 'filed', 'settle', 'preview', 'close', 'check', 'configure')),
  add constraint tasks_grant_named check ((type in ('issue', 'end', 'run')) = (grant_id is not null));

comment on column tasks.result is 'what was answered, for whoever waits for it';

create table runs (
  id text not null,
  request_id text not null,
  grant_id text not null,
  session_id text,
  outpost text not null,
  requester text not null,
  on_behalf_of text,
  resource text not null,
  action text not null,
  lifecycle text not null generated always as ('run') stored,
  state text not null,
  previous_state text,
  digest text,
  document text,
  signature jsonb,
  row_count bigint,
  error_code text,
  error_message text,
  result_digest text,
  started_at timestamptz not null,
  ended_at timestamptz,
  resolved_outcome text,
  resolved_at timestamptz,
  resolved_by text,
  comment text,
  constraint runs_pkey primary key (id),
  constraint runs_grant_key unique (grant_id),
  constraint runs_request_key unique (request_id),
  constraint runs_id_form check (id ~ '^run_[0-9a-hjkmnp-tv-z]{26}$'),
  constraint runs_grant_fkey foreign key (grant_id) references grants (id),
  constraint runs_request_fkey foreign key (request_id) references requests (id),
  constraint runs_state_legal foreign key (lifecycle, previous_state, state)
    references state_transition (lifecycle, from_state, to_state),
  constraint runs_state_first check (previous_state is not null or state = 'intended'),
  constraint runs_ended_says_how check ((state in ('done', 'failed', 'unknown')) = (document is not null and ended_at is not null)),
  constraint runs_document_whole check (num_nulls(digest, document, signature) in (0, 3)),
  constraint runs_resolved_known check (resolved_outcome in ('done', 'failed'))
);

create trigger runs_previous_state before update on runs
  for each row execute function remember_previous_state();

create index runs_state_idx on runs (state, id);
create index runs_requester_idx on runs (requester, id);
create index runs_on_behalf_of_idx on runs (on_behalf_of, id) where on_behalf_of is not null;

comment on table runs is 'approved actions being carried out, as the outposts report them; the document is signed by the outpost';
comment on column runs.resolved_outcome is 'where nobody knew what came of it: what was found out later, by the outpost or a person';

create table run_results (
  run_id text not null,
  sealed jsonb not null,
  created_at timestamptz not null,
  constraint run_results_pkey primary key (run_id),
  constraint run_results_run_fkey foreign key (run_id) references runs (id)
);

create index run_results_created_at_idx on run_results (created_at);

comment on table run_results is 'answers, sealed to their requesters by the outposts; a table of its own, because they are large, read once or twice, and forgotten';

create table session_use (
  session_id text not null,
  position integer not null,
  name text not null,
  facets jsonb,
  count bigint not null,
  constraint session_use_pkey primary key (session_id, position),
  constraint session_use_session_fkey foreign key (session_id) references sessions (id),
  constraint session_use_count_positive check (count > 0)
);

comment on table session_use is 'which permissions were used in a session, and how often: what was granted is compared with it';
