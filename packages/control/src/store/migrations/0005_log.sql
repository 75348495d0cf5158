create table audit_pending (
  seq bigint generated always as identity,
  event_id text not null,
  event text not null,
  mac bytea not null,
  constraint audit_pending_pkey primary key (seq),
  constraint audit_pending_event_id_key unique (event_id)
);

comment on table audit_pending is 'events committed with the change that they tell of, waiting for their place in the log';
comment on column audit_pending.mac is 'over event id and event, under a key that is not in the database: only Cardea adds events';

create table audit_entries (
  index bigint not null,
  event_id text not null,
  at timestamptz not null,
  type text not null,
  refs text[] not null,
  leaf text not null,
  leaf_hash bytea not null,
  salt text,
  data text,
  constraint audit_entries_pkey primary key (index),
  constraint audit_entries_index_counted check (index >= 0),
  constraint audit_entries_opened_together check ((salt is null) = (data is null))
) partition by range (index);

create index audit_entries_event_id_idx on audit_entries (event_id);
create index audit_entries_refs_idx on audit_entries using gin (refs);
create index audit_entries_type_idx on audit_entries (type, index);
create index audit_entries_at_idx on audit_entries (at);

comment on table audit_entries is 'the log in order; partitioned by index, which grows with time, so that old data can be moved out by the partition';
comment on column audit_entries.leaf is 'exactly the bytes that the tree hashes';
comment on column audit_entries.refs is 'every id of the leaf, for finding it';
comment on column audit_entries.data is 'what the leaf commits to; null once erased, the proofs stay valid';

create table log_tiles (
  level smallint not null,
  index bigint not null,
  width smallint not null,
  bytes bytea not null,
  constraint log_tiles_pkey primary key (level, index),
  constraint log_tiles_level_above_leaves check (level >= 1),
  constraint log_tiles_width_exact check (width between 1 and 256 and length(bytes) = 32 * width)
);

comment on table log_tiles is 'hash tiles above the leaves, the newest width of each; leaf tiles are the entries'' own hashes';

create table log_head (
  singleton boolean not null default true,
  size bigint not null,
  checkpoint text not null,
  at timestamptz not null,
  constraint log_head_pkey primary key (singleton),
  constraint log_head_is_one check (singleton)
);

comment on table log_head is 'the newest signed checkpoint; what it covers is in audit_entries and log_tiles of the same transaction';
