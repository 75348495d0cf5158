/**
 * What scripts are put together from. `ordinary`: statements that grants are for. `plays`: statements that change what others mean, or that come
 * at something outside by a detour. Together with the known ways round they are cut up and joined anew.
 */

export const ordinary: readonly string[] = `
select * from orders
select id, initcap(note) from orders where id = 1 order by note limit 1
select count(*), max(id) from orders group by note having count(*) > 0
select note, row_number() over (partition by note order by id) from orders
with x as (select id from orders) select * from x join orders using (id)
select o from orders o
select (o).note from orders o
select row_to_json(o) from orders o
table orders
select id, name from people
select count(*) from people
select a, b from t1 natural join t2
select b, c from t2 where c in (select c from t1)
select b from t1 union select c from t2
insert into t1 values (5, 6, 7)
insert into t1 (a, b) select b + 100, c from t2 returning a
insert into t2 (b, c) values (9, 9) on conflict (b) do nothing
update t1 set b = c + 1 where a = 1 returning *
update t2 set c = 1 where b = 2
delete from t1 where a = 5
with gone as (delete from t1 where a > 100 returning a) select count(*) from gone
merge into t1 using t2 on t1.b = t2.b when matched then update set c = t2.c when not matched then insert (a) values (t2.b)
copy t1 from stdin
copy t2 (b, c) to stdout
begin isolation level repeatable read read only
begin
commit
savepoint a
rollback to a
release a
show search_path
set statement_timeout = 1000
set local datestyle = 'ISO'
set time zone 'UTC'
set application_name = 'x'
reset datestyle
set search_path = public
select set_config('search_path', '', false)
discard all
discard plans
prepare p as select * from orders where id = $1
execute p(1)
deallocate p
deallocate all
declare c cursor for select * from orders
declare c scroll cursor with hold for select id from orders
fetch 1 from c
move 1 in c
close c
copy orders to stdout
copy (select id from orders) to stdout with csv
lock table orders in access share mode
explain select * from orders
explain analyze select * from orders
select version(), current_user, current_database(), now(), random(), gen_random_uuid()
select pg_table_size('orders'), txid_current(), pg_backend_pid()
select relname from pg_class where relkind = 'r'
select * from information_schema.columns limit 3
select generate_series(1, 3), array_agg(1), json_build_object('a', 1)
select to_tsvector('a'), 'a'::regclass is null from orders where false
select * from unnest(array[1, 2]) with ordinality
select * from jsonb_to_record('{"a": 1}') as t(a int)
select case when id = 1 then note else 'x' end from orders
select coalesce(note, 'none'), nullif(id, 2), id between 1 and 2 from orders
select string_agg(note, ',' order by id) from orders
values (1, 'a'), (2, 'b')
`
  .trim()
  .split("\n");

export const plays: readonly string[] = `
set search_path = private
set search_path = private, public
set local search_path to private, public
set search_path to "$user", private, public
select set_config('search_path', 'private,public', true)
select set_config('search_path', note, false) from orders
update pg_settings set setting = 'private' where name = 'search_path'
reset search_path
set session characteristics as transaction read only
set transaction isolation level serializable
set role none
set session authorization default
reset all
set client_min_messages = error
set standard_conforming_strings = off
set quote_all_identifiers = on
set default_transaction_read_only = on
set plan_cache_mode = force_generic_plan
set row_security = off
set lo_compat_privileges = on
set transform_null_equals = on
set xmloption = document
set debug_print_plan = on
set default_tablespace = ''
set temp_tablespaces = ''
set default_text_search_config = 'simple'
set check_function_bodies = off
set local role postgres
create temp table orders (id int, note text)
create temp table t9 as select 1 as a
create temp view orders as select * from private.orders
create temporary table kept as select * from private.secrets
select * from pg_temp.orders
drop table if exists pg_temp.orders
prepare p as select * from secrets
prepare p as select * from orders
prepare q as execute p
execute p
explain execute p
explain analyze execute p
create temp table x9 as execute p
declare c cursor for select * from secrets
fetch all from c
select * from cursor_to_xml('c', 10, true, false, '')
select upper('x'::varchar)
select length(note::varchar) from orders
select upper(name) from people
select id = 'x'::text from orders
select * from orders where id in ('1'::text, '2'::text)
select * from orders where id = any (array['1'::text])
select * from orders where id between 'a'::text and 'b'::text
select case id when '1'::text then 1 end from orders
select nullif(id, '1'::text) from orders
select id is distinct from '1'::text from orders
select (id, id) = ('1'::text, '2'::text) from orders
select (id, id) < ('1'::text, '2'::text) from orders
select * from orders a join (select '1'::text as id) b using (id)
select * from orders natural join (select '1'::text as id) b
select greatest(id, 1), id || note from orders
select note || id from orders
select note + id from orders
select m::bytea from marked m
select length(m), md5(m) from marked m
select encode(m, 'hex') from marked m
select m || decode('00', 'hex') from marked m
select string_agg(m, decode('00', 'hex')) from marked m
select cast(marked as bytea) from marked
select substring(m from 1 for 2) from marked m
select count(*) from marked m where m = decode('00', 'hex')
select row(1, 'x', 'a')::public.marked::bytea
select grade + 1 from marked
select grade::date from marked
select grade > current_date from marked
select extract(year from grade) from marked
select 'a'::public.grade + 1
select date_part('year', 'a'::public.grade)
select 'a'::public.grade::date
select id, note, grade from marked
select m from marked m
select max(grade), array_agg(grade), grade::text from marked group by grade
select concat(o), format('%s', o), quote_literal(o) from orders o
select max(note::varchar) from orders
select * from jsonb_to_record('{"a":"x"}') as t(a public.checked)
select * from json_to_recordset('[{"a":"x"}]') as t(a public.checked)
select jsonb_populate_record(null::public.holder, '{"inner_one":"y"}')
select json_populate_recordset(null::public.holder, '[{"inner_one":"y"}]')
select * from xmltable('/a' passing '<a>x</a>' columns a public.checked path '.')
select * from json_table('{"a":"x"}', '$' columns (a public.checked path '$.a'))
select json_value('{"a":"x"}', '$.a' returning public.checked)
select row('x')::public.holder
select array['x']::public.checked[]
select null::public.orders
select (null::public.orders).note, public.helper_of_row(null)
select 'public.helper_reader'::regproc, 'private.secrets'::regclass::oid
select to_regclass('private.secrets'), has_table_privilege('private.secrets', 'select')
select pg_relation_size('private.secrets')
select pg_get_viewdef('public.secret_view'::regclass)
select pg_get_functiondef('public.helper_reader'::regproc)
select pg_sequence_last_value('public.counter'::regclass)
select last_value from public.counter
select lastval(), currval('public.counter')
select * from everybody
select salary from people
select p from people p
select p.* from people p
select row_to_json(p) from people p
select count(p) from people p
select people from people
select d from t2
select * from t2
select t2 from t2
select t1, t2.b from t1 join t2 using (b)
select b from t2 where d > 1
select b from t2 order by d
update t2 set d = 1
update t2 set c = d
update t2 set b = 1 where c = 3
insert into t2 values (7, 8, 9)
insert into t2 (b, c) values (9, 9) on conflict (b) do update set c = excluded.d
insert into t2 (b, c) values (9, 9) returning *
delete from t2
update t1 set b = d from t2 where t1.b = t2.b
merge into t2 using t1 on t1.b = t2.b when matched then delete
merge into t1 using t3 on true when not matched then insert (a) values (t3.c)
select * from t3
select a from v1
select 1 from t1, lateral (select e from t3) s
truncate t1
alter table t1 add x int
select * from orders for update
select from private.secrets
select 1 from private.secrets
select true from pg_class c join private.secrets s on true
select * from pg_catalog.pg_largeobject
select lo_get(4711)
select loread(lo_open(4711, 262144), 100)
select umoptions from pg_user_mappings
select umoptions from pg_catalog.pg_user_mapping
select option_value from information_schema.user_mapping_options
select * from information_schema._pg_user_mappings
select * from pg_stats_ext, pg_stats_ext_exprs
select query from pg_stat_get_activity(null)
select pg_stat_get_backend_activity(1)
select * from pg_stat_subscription
select * from pg_stat_ssl, pg_stat_gssapi
select * from pg_shadow, pg_group, pg_roles
select subconninfo from pg_catalog.pg_subscription
select query from pg_stat_activity
select stavalues1 from pg_statistic
select histogram_bounds, most_common_vals from pg_stats
select rolpassword from pg_authid
select passwd from pg_shadow
select passwd from pg_user
select sourceline from pg_hba_file_rules
select setting from pg_file_settings
select * from pg_stat_statements
select pg_read_file('/etc/passwd')
select * from pg_ls_dir('/tmp')
select pg_stat_file('/etc/passwd')
copy orders to '/tmp/cardea-planted'
select pg_export_snapshot()
set transaction snapshot '00000003-0000001B-1'
select txid_status(1), pg_xact_status('1')
select pg_advisory_unlock_all()
select setseed(0.1)
select dblink('x', 'y')
select current_setting('data_directory')
show data_directory
show hba_file
show session_authorization
select query_to_xml('select 1', true, false, '')
select xpath('/a', query_to_xml('select * from private.secrets', true, false, ''))
select ts_stat('select to_tsvector(canary) from private.secrets')
select * from ts_debug('a')
select * from pg_get_keywords() limit 1
select pg_describe_object(1259, 'private.secrets'::regclass, 0)
select * from pg_get_object_address('table', '{private,secrets}', '{}')
select obj_description('private.secrets'::regclass)
select pg_event_trigger_ddl_commands()
select brin_summarize_new_values('orders_pkey')
select gin_clean_pending_list('orders_pkey')
select pg_stat_reset_single_table_counters('private.secrets'::regclass)
select binary_upgrade_set_next_pg_type_oid(1)
select pg_wal_replay_pause()
select pg_log_backend_memory_contexts(pg_backend_pid())
select pg_replication_origin_create('x')
select * from pg_logical_slot_peek_changes('x', null, null)
select pg_import_system_collations('public')
select pg_nextoid('pg_class', 'oid', 'pg_class_oid_index')
select pg_extension_config_dump('private.secrets', '')
select pg_trigger_depth(), suppress_redundant_updates_trigger()
select system_user, session_user, current_role
select inet_client_addr(), pg_postmaster_start_time(), pg_conf_load_time()
listen channel
unlisten *
notify channel
`
  .trim()
  .split("\n");

/** Names that tokens are swapped for. */
export const names: readonly string[] =
  `orders people marked m grade t1 t2 t3 v1 secrets private.secrets private.orders public.orders everybody secret_view
  id note name salary canary a b c d e p x o pg_temp.orders helper_reader() helper_of_row checked holder grade counter pg_class pg_authid pg_stat_activity
  current_user session_user upper lower length max count nextval query_to_xml set_config lo_get public private pg_catalog pg_temp all only lateral`.split(
    /\s+/,
  );

export const types: readonly string[] =
  `int text varchar public.checked public.holder public.orders public.grade regclass regproc name oid json jsonb xml "char" int[] public.checked[]`.split(
    /\s+/,
  );
