-- Resources as their outposts report them.

create table resources (
  id text not null,
  name text not null,
  kind text,
  outpost text not null,
  state text not null,
  detail text,
  version text,
  missing jsonb not null default '[]',
  warnings jsonb not null default '[]',
  spec_digest text,
  created_at timestamptz not null,
  reported_at timestamptz,
  removed_at timestamptz,
  constraint resources_pkey primary key (id),
  constraint resources_id_form check (id ~ '^res_[0-9a-hjkmnp-tv-z]{26}$'),
  constraint resources_outpost_fkey foreign key (outpost) references outposts (id),
  constraint resources_state_known check (state in ('ready', 'degraded', 'unreachable', 'invalid', 'unknown'))
);

create unique index resources_name_key on resources (name) where removed_at is null;
create index resources_outpost_idx on resources (outpost);

comment on table resources is 'registered systems; the outpost decides what each is, by its signed specification';
comment on column resources.state is '`unknown` until the outpost has reported for the first time';

create table resource_specs (
  digest text not null,
  resource_id text not null,
  outpost text not null,
  document text not null,
  signature jsonb not null,
  reported_at timestamptz not null,
  constraint resource_specs_pkey primary key (digest),
  constraint resource_specs_resource_fkey foreign key (resource_id) references resources (id)
);

comment on table resource_specs is 'every specification that a resource ever had, signed by its outpost: requests name the one they were decided under';

create table public_privileges (
  digest text not null,
  document text not null,
  reported_at timestamptz not null,
  constraint public_privileges_pkey primary key (digest)
);

comment on table public_privileges is 'what resources give to every login, in the versions that their specifications name by digest';
