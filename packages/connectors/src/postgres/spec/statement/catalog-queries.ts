/**
 * The queries that answer the analysis's questions, for whoever has a connection; nothing is run here. They must run under the session whose
 * statement is analysed, or one with the same login, database and `search_path`, since that is what unqualified names are looked up by.
 *
 * Every name and operator in them is qualified: a session may put a schema of its own before `pg_catalog`. Parameters: two arrays of equal
 * length, schemas (null: as the search path finds it) and names. Answers are one row a name, in order, as JSON.
 */

/** Position in the search path, the schemas searched implicitly included; the session's temporary schema is named `pg_temp`. */
const wanted = `
  unnest($1::pg_catalog.text[], $2::pg_catalog.text[]) with ordinality as w(schema, name, place)
  cross join lateral (select pg_catalog.current_schemas(true) as path) as s`;

const inReach = (schema: string): string => `
  case when w.schema is null then ${schema} operator(pg_catalog.=) any (s.path)
       when w.schema operator(pg_catalog.=) 'pg_temp' then ${schema} operator(pg_catalog.=) any (s.path) and ${schema} operator(pg_catalog.~~) 'pg\\_temp\\_%'
       else ${schema} operator(pg_catalog.=) w.schema end`;

const functionJson = `
  pg_catalog.json_build_object(
    'oid', p.oid::pg_catalog.int8, 'schema', fn.nspname, 'name', p.proname, 'kind', p.prokind,
    'minArgs', p.pronargs operator(pg_catalog.-) p.pronargdefaults operator(pg_catalog.-) (p.provariadic operator(pg_catalog.<>) 0)::pg_catalog.int4,
    'maxArgs', case when p.provariadic operator(pg_catalog.<>) 0 then null else p.pronargs end,
    'volatility', p.provolatile, 'language', l.lanname, 'definer', p.prosecdef,
    'owner', pg_catalog.pg_get_userbyid(p.proowner), 'system', p.oid operator(pg_catalog.<) 16384,
    'hash', pg_catalog.md5(pg_catalog.concat_ws('|', p.prosrc, p.probin, p.prosqlbody, p.proconfig, p.prosecdef, p.proowner)))`;

const functionTables = `
  pg_catalog.pg_proc as p
  join pg_catalog.pg_namespace as fn on fn.oid operator(pg_catalog.=) p.pronamespace
  join pg_catalog.pg_language as l on l.oid operator(pg_catalog.=) p.prolang`;

/** A foreign key that changes the rows which refer to a changed one. */
const cascades = `(k.contype operator(pg_catalog.=) 'f' and (k.confdeltype operator(pg_catalog.=) any ('{c,n,d}'::"char"[])
        or k.confupdtype operator(pg_catalog.=) any ('{c,n,d}'::"char"[])))`;

export const relationsQuery = `
select (
  select pg_catalog.json_build_object(
    'oid', c.oid::pg_catalog.int8, 'schema', n.nspname, 'name', c.relname, 'kind', c.relkind,
    'columns', coalesce((
      select pg_catalog.json_agg(a.attname order by a.attnum) from pg_catalog.pg_attribute as a
      where a.attrelid operator(pg_catalog.=) c.oid and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped), '[]'),
    'system', c.oid operator(pg_catalog.<) 16384,
    'temporary', n.oid operator(pg_catalog.=) pg_catalog.pg_my_temp_schema(),
    'publicAll', c.oid operator(pg_catalog.<) 16384 and pg_catalog.has_table_privilege('public', c.oid, 'select')
      and not (c.relname operator(pg_catalog.=) 'pg_settings' and pg_catalog.pg_has_role('pg_read_all_settings', 'usage')),
    'code', case
      when c.oid operator(pg_catalog.<) 16384 then 'never'
      when c.relkind operator(pg_catalog.=) 'v' or c.relrowsecurity then 'always'
      when c.relhasrules or c.relhassubclass
        or exists (select from pg_catalog.pg_trigger as t where t.tgrelid operator(pg_catalog.=) c.oid and not t.tgisinternal)
        or exists (select from pg_catalog.pg_constraint as k where k.confrelid operator(pg_catalog.=) c.oid and ${cascades})
        or exists (
          select from pg_catalog.pg_depend as d where d.refobjid operator(pg_catalog.>=) 16384
            and d.refclassid operator(pg_catalog.=) any (array['pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass])
            and (d.classid operator(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass
                and d.objid operator(pg_catalog.=) any (select a.oid from pg_catalog.pg_attrdef as a where a.adrelid operator(pg_catalog.=) c.oid)
              or d.classid operator(pg_catalog.=) 'pg_catalog.pg_constraint'::pg_catalog.regclass
                and d.objid operator(pg_catalog.=) any (select k.oid from pg_catalog.pg_constraint as k where k.conrelid operator(pg_catalog.=) c.oid)
              or d.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
                and d.objid operator(pg_catalog.=) any (select i.indexrelid from pg_catalog.pg_index as i where i.indrelid operator(pg_catalog.=) c.oid)))
        or exists (
          select from pg_catalog.pg_attribute as a join pg_catalog.pg_type as t on t.oid operator(pg_catalog.=) a.atttypid
          where a.attrelid operator(pg_catalog.=) c.oid and a.attnum operator(pg_catalog.>) 0 and t.oid operator(pg_catalog.>=) 16384 and t.typtype operator(pg_catalog.=) 'd')
      then 'when written' else 'never' end,
    'casts', case when c.oid operator(pg_catalog.<) 16384 then '[]' else coalesce((
      select pg_catalog.json_agg(${functionJson}) from ${functionTables}
      where p.oid operator(pg_catalog.=) any (
        select k.castfunc from pg_catalog.pg_cast as k
        cross join lateral (
          select coalesce(pg_catalog.array_agg(a.atttypid), '{}') operator(pg_catalog.||) c.reltype as own from pg_catalog.pg_attribute as a
          where a.attrelid operator(pg_catalog.=) c.oid and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped and a.atttypid operator(pg_catalog.>=) 16384) as types
        where k.castfunc operator(pg_catalog.>=) 16384 and (k.castsource operator(pg_catalog.=) any (types.own) or k.casttarget operator(pg_catalog.=) any (types.own)
          or k.castsource operator(pg_catalog.<) 16384 and k.casttarget operator(pg_catalog.<) 16384))), '[]') end,
    'publicColumns', case when c.oid operator(pg_catalog.<) 16384
      and not (c.relname operator(pg_catalog.=) 'pg_settings' and pg_catalog.pg_has_role('pg_read_all_settings', 'usage')) then (
      select pg_catalog.json_agg(a.attname) from pg_catalog.pg_attribute as a
      where a.attrelid operator(pg_catalog.=) c.oid and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped
        and pg_catalog.has_column_privilege('public', c.oid, a.attnum, 'select')) end)
  from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid operator(pg_catalog.=) c.relnamespace
  where c.relname operator(pg_catalog.=) w.name and ${inReach("n.nspname")}
  order by pg_catalog.array_position(s.path, n.nspname) limit 1
) as answer
from ${wanted} order by w.place`;

export const functionsQuery = `
select coalesce((
  select pg_catalog.json_agg(${functionJson}) from ${functionTables}
  where p.proname operator(pg_catalog.=) w.name and ${inReach("fn.nspname")}
), '[]') as answer
from ${wanted} order by w.place`;

/** The server's own operators only compute; their functions are left out. */
export const operatorsQuery = `
select coalesce((
  select pg_catalog.json_agg(${functionJson}) from pg_catalog.pg_operator as o
  join pg_catalog.pg_namespace as n on n.oid operator(pg_catalog.=) o.oprnamespace
  join (${functionTables}) on p.oid operator(pg_catalog.=) o.oprcode::pg_catalog.oid
  where o.oprname operator(pg_catalog.=) w.name and o.oid operator(pg_catalog.>=) 16384 and ${inReach("n.nspname")}
), '[]') as answer
from ${wanted} order by w.place`;

/** With every function that a value of the type may pass: checks of domains, input functions, casts; of the types that it is made of too. */
const typesWhere = (condition: string): string => `
select (
  with recursive found as (
    select t.oid, t.typname, n.nspname
    from pg_catalog.pg_type as t join pg_catalog.pg_namespace as n on n.oid operator(pg_catalog.=) t.typnamespace
    where ${condition}
    order by pg_catalog.array_position(s.path, n.nspname) limit 1
  ), parts(oid) as (
    select found.oid from found
    union
    select next.oid from parts
    join pg_catalog.pg_type as t on t.oid operator(pg_catalog.=) parts.oid
    cross join lateral (
      select t.typbasetype union all select t.typelem
      union all select r.rngsubtype from pg_catalog.pg_range as r where r.rngtypid operator(pg_catalog.=) t.oid
      union all select r.rngtypid from pg_catalog.pg_range as r where r.rngmultitypid operator(pg_catalog.=) t.oid
      union all select a.atttypid from pg_catalog.pg_attribute as a
        where a.attrelid operator(pg_catalog.=) t.typrelid and t.typrelid operator(pg_catalog.<>) 0 and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped
    ) as next(oid)
    where next.oid operator(pg_catalog.>=) 16384
  ), used(oid) as (
    select d.refobjid from pg_catalog.pg_constraint as k
    join pg_catalog.pg_depend as d on d.classid operator(pg_catalog.=) 'pg_catalog.pg_constraint'::pg_catalog.regclass and d.objid operator(pg_catalog.=) k.oid
    where k.contypid operator(pg_catalog.=) any (select parts.oid from parts) and d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
    union select t.typinput::pg_catalog.oid from pg_catalog.pg_type as t
      where t.oid operator(pg_catalog.=) any (select parts.oid from parts) and t.typtype operator(pg_catalog.=) 'b'
    union select g.rngcanonical::pg_catalog.oid from pg_catalog.pg_range as g where g.rngtypid operator(pg_catalog.=) any (select parts.oid from parts)
    union select k.castfunc from pg_catalog.pg_cast as k
      where k.castsource operator(pg_catalog.=) any (select parts.oid from parts) or k.casttarget operator(pg_catalog.=) any (select parts.oid from parts)
  )
  select pg_catalog.json_build_object(
    'oid', found.oid::pg_catalog.int8, 'schema', found.nspname, 'name', found.typname, 'system', found.oid operator(pg_catalog.<) 16384,
    'functions', coalesce((
      select pg_catalog.json_agg(${functionJson}) from ${functionTables}
      where p.oid operator(pg_catalog.>=) 16384 and p.oid operator(pg_catalog.=) any (select used.oid from used)), '[]'))
  from found
) as answer
from ${wanted} order by w.place`;

export const typesQuery = typesWhere(`t.typname operator(pg_catalog.=) w.name and ${inReach("n.nspname")}`);

/** The names are object ids. */
export const typesByOidQuery = typesWhere("t.oid operator(pg_catalog.=) w.name::pg_catalog.oid");

/** Where new objects go, and where names are looked for. */
export const pathQuery =
  "select pg_catalog.current_schema() as answer, pg_catalog.current_schemas(true)::pg_catalog.text as path";

/**
 * Whether any code of the database's own may change the search path of whoever runs it: a function that mentions it, or sets something that it
 * computes; an expression that calls `set_config` (2078) by itself.
 */
export const codeMovesQuery = `
select exists (
  select from pg_catalog.pg_proc as p
  where p.oid operator(pg_catalog.>=) 16384 and p.prolang operator(pg_catalog.<>) all (
      select l.oid from pg_catalog.pg_language as l where l.lanname operator(pg_catalog.=) any ('{c,internal}'::pg_catalog.name[]))
    and (p.prosrc operator(pg_catalog.~~) any ('{%search_path%,%SEARCH_PATH%}'::pg_catalog.text[])
      or p.prosqlbody::pg_catalog.text operator(pg_catalog.~~) '%:funcid 2078 %'
      or p.prosrc operator(pg_catalog.~~*) '%set_config%' and p.prosrc operator(pg_catalog.~*) 'set_config[[:space:]]*[(][[:space:]]*[^''[:space:]]'))
or exists (
  select from pg_catalog.pg_rewrite as r where r.oid operator(pg_catalog.>=) 16384 and r.ev_action::pg_catalog.text operator(pg_catalog.~~) '%:funcid 2078 %')
or exists (
  select from pg_catalog.pg_policy as p where pg_catalog.concat(p.polqual, p.polwithcheck) operator(pg_catalog.~~) '%:funcid 2078 %')
or exists (
  select from pg_catalog.pg_attrdef as a where a.adbin::pg_catalog.text operator(pg_catalog.~~) '%:funcid 2078 %')`;

/** Settings that decide what a text means, or what a value written in it is. `search_path`: the schemas found by it, not the server's own. */
export const readingQuery = `
select pg_catalog.json_build_object(
  'search_path', coalesce((
    select pg_catalog.json_agg(case when p.name operator(pg_catalog.~~) 'pg\\_temp\\_%' then 'pg_temp' else p.name end order by p.place)
    from pg_catalog.unnest(pg_catalog.current_schemas(false)) with ordinality as p(name, place)), '[]'),
  ${[
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "array_nulls",
    "default_text_search_config",
    "gin_fuzzy_search_limit",
    "row_security",
    "transform_null_equals",
    "xmloption",
  ]
    .map((name) => `'${name}', pg_catalog.current_setting('${name}')`)
    .join(", ")}) as answer`;

/** The functions that run when definitions change. */
export const eventTriggersQuery = `
select coalesce((
  select pg_catalog.json_agg(${functionJson}) from pg_catalog.pg_event_trigger as e
  join (${functionTables}) on p.oid operator(pg_catalog.=) e.evtfoid
  where e.evtenabled operator(pg_catalog.<>) 'D' and e.evtevent operator(pg_catalog.<>) 'login'
), '[]') as answer`;

/**
 * Code that using relations can run, with the definitions of views, and of the relations below them, of their partitions, and of those whose
 * rows change with theirs. Parameter: an array of oids; one answer
 * for each, in order. For previews and for what an approval binds to; too dear for every statement.
 */
export const reachQuery = `
select (
  with recursive relation(oid) as (
    select w.oid
    union
    select next.oid from relation cross join lateral (
      select d.refobjid from pg_catalog.pg_rewrite as r
      join pg_catalog.pg_depend as d on d.classid operator(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid operator(pg_catalog.=) r.oid
      where r.ev_class operator(pg_catalog.=) relation.oid
        and d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid operator(pg_catalog.>=) 16384
      union all select i.inhrelid from pg_catalog.pg_inherits as i where i.inhparent operator(pg_catalog.=) relation.oid
      union all select k.conrelid from pg_catalog.pg_constraint as k where k.confrelid operator(pg_catalog.=) relation.oid and ${cascades}
    ) as next(oid)
  ), ours as (
    select c.oid, c.relkind, pg_catalog.format('%I.%I', n.nspname, c.relname) as name
    from relation join pg_catalog.pg_class as c on c.oid operator(pg_catalog.=) relation.oid
    join pg_catalog.pg_namespace as n on n.oid operator(pg_catalog.=) c.relnamespace
  ), part(classid, objid) as (
    select 'pg_catalog.pg_rewrite'::pg_catalog.regclass, r.oid from ours join pg_catalog.pg_rewrite as r on r.ev_class operator(pg_catalog.=) ours.oid
    union all select 'pg_catalog.pg_attrdef'::pg_catalog.regclass, a.oid from ours join pg_catalog.pg_attrdef as a on a.adrelid operator(pg_catalog.=) ours.oid
    union all select 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid from ours join pg_catalog.pg_constraint as k on k.conrelid operator(pg_catalog.=) ours.oid
    union all select 'pg_catalog.pg_policy'::pg_catalog.regclass, p.oid from ours join pg_catalog.pg_policy as p on p.polrelid operator(pg_catalog.=) ours.oid
    union all select 'pg_catalog.pg_class'::pg_catalog.regclass, i.indexrelid from ours join pg_catalog.pg_index as i on i.indrelid operator(pg_catalog.=) ours.oid
    union all select 'pg_catalog.pg_class'::pg_catalog.regclass, ours.oid from ours
    union all select 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid from ours
      join pg_catalog.pg_attribute as a on a.attrelid operator(pg_catalog.=) ours.oid and a.attnum operator(pg_catalog.>) 0 and a.atttypid operator(pg_catalog.>=) 16384
      join pg_catalog.pg_constraint as k on k.contypid operator(pg_catalog.=) a.atttypid
  ), uses(classid, objid) as (
    select d.refclassid, d.refobjid from part join pg_catalog.pg_depend as d on d.classid operator(pg_catalog.=) part.classid and d.objid operator(pg_catalog.=) part.objid
  ), called(oid) as (
    select uses.objid from uses where uses.classid operator(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
    union select o.oprcode::pg_catalog.oid from uses join pg_catalog.pg_operator as o on o.oid operator(pg_catalog.=) uses.objid
      where uses.classid operator(pg_catalog.=) 'pg_catalog.pg_operator'::pg_catalog.regclass
    union select t.tgfoid from ours join pg_catalog.pg_trigger as t on t.tgrelid operator(pg_catalog.=) ours.oid where not t.tgisinternal
  ), reach("is", name, definition) as (
    select 'view', ours.name, pg_catalog.pg_get_viewdef(ours.oid) from ours where ours.relkind operator(pg_catalog.=) any ('{v,m}'::"char"[])
    union all select 'rule', pg_catalog.format('%s on %s', r.rulename, ours.name), pg_catalog.pg_get_ruledef(r.oid)
      from ours join pg_catalog.pg_rewrite as r on r.ev_class operator(pg_catalog.=) ours.oid where r.rulename operator(pg_catalog.<>) '_RETURN'
    union all select 'trigger', pg_catalog.format('%s on %s', t.tgname, ours.name), pg_catalog.concat(pg_catalog.pg_get_triggerdef(t.oid), t.tgenabled)
      from ours join pg_catalog.pg_trigger as t on t.tgrelid operator(pg_catalog.=) ours.oid where not t.tgisinternal
    union all select 'foreign key', pg_catalog.format('%s on %s', k.conname, referring.name), pg_catalog.pg_get_constraintdef(k.oid)
      from ours join pg_catalog.pg_constraint as k on k.confrelid operator(pg_catalog.=) ours.oid and ${cascades}
      join ours as referring on referring.oid operator(pg_catalog.=) k.conrelid
    union all select 'policy', pg_catalog.format('%s on %s', p.polname, ours.name), pg_catalog.concat_ws('|', p.polcmd, p.polpermissive, p.polroles,
        pg_catalog.pg_get_expr(p.polqual, p.polrelid), pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid))
      from ours join pg_catalog.pg_policy as p on p.polrelid operator(pg_catalog.=) ours.oid
    union all select 'function', pg_catalog.format('%I.%I', fn.nspname, p.proname),
        pg_catalog.concat_ws('|', p.oid, p.prosrc, p.probin, p.prosqlbody, p.proconfig, p.prosecdef, p.proowner)
      from called join pg_catalog.pg_proc as p on p.oid operator(pg_catalog.=) called.oid
      join pg_catalog.pg_namespace as fn on fn.oid operator(pg_catalog.=) p.pronamespace where p.oid operator(pg_catalog.>=) 16384
  )
  select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('is', reach."is", 'name', reach.name, 'hash', pg_catalog.md5(reach.definition))
    order by reach."is", reach.name, reach.definition), '[]') from reach
) as answer
from unnest($1::pg_catalog.oid[]) with ordinality as w(oid, place) order by w.place`;
