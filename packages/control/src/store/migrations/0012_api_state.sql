-- What the HTTP interface remembers between calls.

create table idempotent_calls (
  subject_id text not null,
  key text not null,
  fingerprint text not null,
  claim text not null,
  claimed_until timestamptz not null,
  expires_at timestamptz not null,
  status integer,
  answer bytea,
  constraint idempotent_calls_pkey primary key (subject_id, key),
  constraint idempotent_calls_answered_whole check ((status is null) = (answer is null))
);
create index idempotent_calls_expires_at_idx on idempotent_calls (expires_at);
comment on table idempotent_calls is 'answers to calls that carried an Idempotency-Key, kept for a day';
comment on column idempotent_calls.fingerprint is 'keyed hash of method, path and body';
comment on column idempotent_calls.answer is 'the body, sealed under a key that is not in this database';
