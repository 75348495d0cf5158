-- What was recorded of sessions: where its bytes are, how far they have come, and what the log says that they come to.

create table recordings (
  session_id text not null,
  grant_id text not null,
  outpost text not null,
  month text not null,
  began_at timestamptz not null,
  pieces integer not null default 0,
  piece_bytes bigint not null default 0,
  file_bytes bigint not null default 0,
  chain text,
  closed_pieces integer,
  closed_digest text,
  truncated boolean not null default false,
  closed_at timestamptz,
  broken text,
  removed_at timestamptz,
  constraint recordings_pkey primary key (session_id),
  constraint recordings_session_form check (session_id ~ '^ses_[0-9a-hjkmnp-tv-z]{26}$'),
  constraint recordings_month_form check (month ~ '^[0-9]{4}-[0-9]{2}$'),
  constraint recordings_grant_fkey foreign key (grant_id) references grants (id),
  constraint recordings_chain_form check (chain ~ '^[0-9a-f]{64}$'),
  constraint recordings_has_chain check ((pieces = 0) = (chain is null)),
  constraint recordings_closed_whole check ((closed_pieces is null) = (closed_digest is null)),
  constraint recordings_closed_says_when check ((closed_pieces is null) = (closed_at is null))
);

create index recordings_began_at_idx on recordings (began_at) where removed_at is null;

comment on table recordings is 'pieces are in files; a row says how much of each file counts, so that what a crash left behind it is written over';
comment on column recordings.month is 'the folder of its file';
comment on column recordings.chain is 'the digest chain behind the last piece that came, hexadecimal';
comment on column recordings.closed_digest is 'as the outpost said it in session.closed, which the log holds';
comment on column recordings.broken is 'why it is not what the outpost recorded; nothing of it is shown';
comment on column recordings.removed_at is 'when its file was removed, after it was kept for as long as the settings say';

create table recording_readings (
  session_id text not null,
  subject text not null,
  with_values boolean not null,
  read_at timestamptz not null,
  constraint recording_readings_pkey primary key (session_id, subject, with_values),
  constraint recording_readings_recording_fkey foreign key (session_id) references recordings (session_id)
);

comment on table recording_readings is 'who was last logged as reading what, so that one reading in many calls is one entry of the log';
