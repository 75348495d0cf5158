-- Outposts: who enrolled, and which link is theirs now.

create table outposts (
  id text not null,
  name text not null,
  digest text not null,
  document text not null,
  signatures jsonb not null,
  enrolled_at timestamptz not null,
  retired_at timestamptz,
  connection text,
  connection_until timestamptz,
  last_seen_at timestamptz,
  leases_live integer,
  leases_ending integer,
  leases_stuck integer,
  constraint outposts_pkey primary key (id),
  constraint outposts_id_form check (id ~ '^out_[0-9a-hjkmnp-tv-z]{26}$'),
  constraint outposts_leases_whole check ((leases_live is null) = (leases_ending is null) and (leases_live is null) = (leases_stuck is null))
);

create unique index outposts_name_key on outposts (name) where retired_at is null;

comment on table outposts is 'enrolled outposts; their keys are in the document that the control plane signed, never in a column';
comment on column outposts.retired_at is 'when another outpost enrolled under its name and took its resources over';
comment on column outposts.connection is 'the newest link: an older one that finds another value here closes itself';
comment on column outposts.connection_until is 'until when the link counts as up unless it is heard again';

create table enrolment_tokens (
  id text not null,
  name text not null,
  created_by text not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  used_at timestamptz,
  constraint enrolment_tokens_pkey primary key (id),
  constraint enrolment_tokens_id_form check (id ~ '^tok_[0-9a-hjkmnp-tv-z]{26}$')
);

comment on table enrolment_tokens is 'one row a token, marked when it is used; its secret follows from the installation''s key and is not here';
