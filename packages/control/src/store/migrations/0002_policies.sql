create table policies (
  version bigint not null,
  id text not null,
  digest text not null,
  document text not null,
  signatures jsonb not null,
  source text not null,
  applied_by text,
  applied_at timestamptz not null,
  constraint policies_pkey primary key (version),
  constraint policies_id_key unique (id),
  constraint policies_digest_key unique (digest),
  constraint policies_version_positive check (version >= 1),
  constraint policies_id_form check (id ~ '^pol_[0-9a-hjkmnp-tv-z]{26}$')
);

comment on table policies is 'every policy version ever in force; the highest is current';
comment on column policies.document is 'canonical text of the signed document; columns beside it are only for finding it';
comment on column policies.source is 'what was applied, as its author wrote it';
comment on column policies.applied_by is 'subject who applied it; null for the one made with the installation';
