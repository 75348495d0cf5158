create table grants (
  id text not null,
  request_id text not null,
  lifecycle text not null generated always as ('grant') stored,
  state text not null,
  previous_state text,
  why text,
  detail text,
  requester text not null,
  on_behalf_of text,
  resource_id text not null,
  resource text not null,
  role text,
  outpost text not null,
  digest text not null,
  document text not null,
  signatures jsonb not null,
  created_policy bigint not null,
  judged_policy bigint not null,
  judged_roster bigint not null,
  created_event text not null,
  created_at timestamptz not null,
  not_before timestamptz not null,
  not_after timestamptz not null,
  review_due_at timestamptz,
  reviewed_at timestamptz,
  sealed jsonb,
  lease_id text,
  issued_at timestamptz,
  ending_at timestamptz,
  ended_at timestamptz,
  constraint grants_pkey primary key (id),
  constraint grants_request_key unique (request_id),
  constraint grants_digest_key unique (digest),
  constraint grants_id_form check (id ~ '^gra_[0-9a-hjkmnp-tv-z]{26}$'),
  constraint grants_request_fkey foreign key (request_id) references requests (id),
  constraint grants_state_legal foreign key (lifecycle, previous_state, state)
    references state_transition (lifecycle, from_state, to_state),
  constraint grants_state_first check (previous_state is not null or state in ('scheduled', 'issuing')),
  constraint grants_window_ordered check (not_before < not_after),
  constraint grants_ended_says_why check (state <> 'ended' or why in ('expired', 'released', 'revoked', 'spent', 'voided')),
  constraint grants_sealed_while_open check (sealed is null or state in ('active', 'ending'))
);

create trigger grants_previous_state before update on grants
  for each row execute function remember_previous_state();

create index grants_requester_idx on grants (requester, id);
create index grants_on_behalf_of_idx on grants (on_behalf_of, id) where on_behalf_of is not null;
create index grants_state_idx on grants (state, id);
create index grants_not_before_idx on grants (not_before) where state = 'scheduled';
create index grants_not_after_idx on grants (not_after) where state in ('scheduled', 'issuing', 'active');
create index grants_review_owed_idx on grants (id) where review_due_at is not null and reviewed_at is null;
create index grants_reviewed_requester_idx on grants (requester) where review_due_at is not null;
create index grants_reviewed_on_behalf_of_idx on grants (on_behalf_of) where review_due_at is not null and on_behalf_of is not null;
create index grants_judged_idx on grants (judged_policy, judged_roster) where state in ('scheduled', 'issuing', 'active');

comment on table grants is 'approved requests with their absolute windows; the signed document decides, never a column';
comment on column grants.why is 'why it ended, or the code of its failure';
comment on column grants.created_policy is 'policy version in force when it was created, whose deny rules are in its judgement';
comment on column grants.judged_policy is 'newest policy version under which it was found to stand';
comment on column grants.judged_roster is 'newest roster version under which it was found to stand';
comment on column grants.created_event is 'event id of its grant.created entry in the log';
comment on column grants.sealed is 'the secret, sealed to the requester by the outpost; taken away at the end';
comment on column grants.review_due_at is 'break-glass: until when somebody else must have looked back';

create table grant_rosters (
  grant_id text not null,
  document text not null,
  constraint grant_rosters_pkey primary key (grant_id),
  constraint grant_rosters_grant_fkey foreign key (grant_id) references grants (id)
);

comment on table grant_rosters is 'who requester and approvers were at the approval: entries with their proofs to a signed head; a table of its own, because grants change and this does not';

create table leases (
  id text not null,
  grant_id text not null,
  outpost text not null,
  lifecycle text not null generated always as ('lease') stored,
  state text not null,
  previous_state text,
  native_name text,
  stuck boolean not null default false,
  detail text,
  changed_at timestamptz not null,
  constraint leases_pkey primary key (id),
  constraint leases_id_form check (id ~ '^lea_[0-9a-hjkmnp-tv-z]{26}$'),
  constraint leases_grant_fkey foreign key (grant_id) references grants (id),
  constraint leases_state_legal foreign key (lifecycle, previous_state, state)
    references state_transition (lifecycle, from_state, to_state),
  constraint leases_state_first check (previous_state is not null or state = 'intended')
);

create trigger leases_previous_state before update on leases
  for each row execute function remember_previous_state();

create index leases_grant_idx on leases (grant_id);
create index leases_open_idx on leases (outpost, state) where state <> 'gone';

comment on table leases is 'native logins as the outposts report them; the outpost''s own store is the truth';

create table reviews (
  id text not null,
  grant_id text not null,
  reviewer text not null,
  verdict text not null,
  digest text not null,
  document text not null,
  signatures jsonb not null,
  reviewed_at timestamptz not null,
  constraint reviews_pkey primary key (id),
  constraint reviews_grant_key unique (grant_id),
  constraint reviews_id_form check (id ~ '^rev_[0-9a-hjkmnp-tv-z]{26}$'),
  constraint reviews_grant_fkey foreign key (grant_id) references grants (id),
  constraint reviews_verdict_known check (verdict in ('justified', 'misuse'))
);

comment on table reviews is 'what somebody else found when looking back at a break-glass grant';
