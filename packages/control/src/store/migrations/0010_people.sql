-- People. Who they are, their groups, permissions and credentials stand in the roster: a document for each subject under one head
-- that the control plane signs. These tables keep it; they have no authority of their own, and rows edited here do not verify.

create table roster_heads (
  version integer constraint roster_heads_pkey primary key constraint roster_heads_version_positive check (version >= 1),
  document text not null,
  digest text not null,
  signatures jsonb not null,
  at timestamptz not null
);
comment on table roster_heads is 'signed heads over all roster entries; the highest version counts';

create table roster_entries (
  subject_id text constraint roster_entries_pkey primary key,
  document text not null
);
comment on table roster_entries is 'the entries under the newest head, as canonical JSON';

create table subject_profiles (
  subject_id text constraint subject_profiles_pkey primary key,
  display_name text not null,
  email text,
  created_at timestamptz not null
);
comment on table subject_profiles is 'how a subject is shown and reached; nothing is decided by it';

create table subject_identities (
  issuer text not null,
  issuer_subject text not null,
  subject_id text not null,
  mac text not null,
  constraint subject_identities_pkey primary key (issuer, issuer_subject)
);
create index subject_identities_subject_idx on subject_identities (subject_id);
comment on table subject_identities is 'identities elsewhere that are this one subject; one identity belongs to one subject, and the mac binds it there';

create table credential_labels (
  credential_id text constraint credential_labels_pkey primary key,
  subject_id text not null,
  label text not null
);

create table invitations (
  lookup text constraint invitations_pkey primary key,
  subject_id text not null,
  made_by text,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  bound text not null,
  mac text not null
);
create index invitations_subject_idx on invitations (subject_id);
comment on column invitations.lookup is 'hash of the invitation; the text itself is shown once and kept nowhere';
comment on column invitations.bound is 'the credentials that the subject had: with the first enrolment the invitation is spent, whatever this table says';

create table tokens (
  id text constraint tokens_pkey primary key,
  subject_id text not null,
  method text not null constraint tokens_method_known check (method in ('sign-in', 'api-token')),
  credential_id text,
  label text not null,
  permissions text[] not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  last_used_at timestamptz,
  mac text not null,
  constraint tokens_presence_whole check ((method = 'sign-in') = (credential_id is not null))
);
create index tokens_subject_idx on tokens (subject_id, id);
create index tokens_expires_at_idx on tokens (expires_at);
comment on column tokens.mac is 'over the secret''s hash and everything that the token may do, under a key that is not in this database';

create table spent_challenges (
  nonce text constraint spent_challenges_pkey primary key,
  expires_at timestamptz not null
);
create index spent_challenges_expires_at_idx on spent_challenges (expires_at);
comment on table spent_challenges is 'challenges that were answered; each once';
