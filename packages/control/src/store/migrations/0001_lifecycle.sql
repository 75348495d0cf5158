-- Legal steps of everything that lives in states. Tables with a state refer to it by (lifecycle, previous_state, state), so that an
-- illegal step cannot be stored; the rows are equal to the transitions of the pure core, which a test proves.

create table state_transition (
  lifecycle text not null,
  from_state text not null,
  to_state text not null,
  constraint state_transition_pkey primary key (lifecycle, from_state, to_state)
);

comment on table state_transition is 'legal steps from one state to the next; whatever is not here cannot be stored';

insert into state_transition (lifecycle, from_state, to_state) values
  ('request', 'pending', 'approved'),
  ('request', 'pending', 'denied'),
  ('request', 'pending', 'withdrawn'),
  ('request', 'pending', 'expired'),
  ('grant', 'scheduled', 'issuing'),
  ('grant', 'scheduled', 'ended'),
  ('grant', 'issuing', 'active'),
  ('grant', 'issuing', 'ending'),
  ('grant', 'issuing', 'failed'),
  ('grant', 'active', 'ending'),
  ('grant', 'ending', 'ended'),
  ('lease', 'intended', 'live'),
  ('lease', 'intended', 'ending'),
  ('lease', 'live', 'ending'),
  ('lease', 'ending', 'gone'),
  ('run', 'intended', 'running'),
  ('run', 'intended', 'failed'),
  ('run', 'running', 'done'),
  ('run', 'running', 'failed'),
  ('run', 'running', 'unknown'),
  ('run', 'unknown', 'done'),
  ('run', 'unknown', 'failed'),
  ('session', 'open', 'closed');

create function remember_previous_state() returns trigger language plpgsql as $$
begin
  if new.state is distinct from old.state then
    new.previous_state := old.state;
  else
    new.previous_state := old.previous_state;
  end if;
  return new;
end
$$;

comment on function remember_previous_state() is 'the previous state is what the row held, never what a statement claims';
