/**
 * What PUBLIC gives to every login of the server, Cardea's included: a grant is "the scope plus this", never "only the scope". Canonical
 * and without anything that moves by itself, since its digest is part of the resource's description.
 */
import { z } from "zod";
import { nameList, plain } from "./missing.ts";
import { rowsOf, type Server } from "./server.ts";

const InDatabase = z.object({
  database: z.string(),
  temporaryTables: z.boolean(),
  create: z.boolean(),
  schemas: z.object({ usage: z.array(z.string()), create: z.array(z.string()) }),
  /** Relations outside the system schemas, with what PUBLIC may do on each. */
  relations: z.record(z.string(), z.array(z.string())),
  /** Callable functions: a count for the system's, a count for each other schema. */
  systemFunctions: z.int(),
  functions: z.record(z.string(), z.int()),
  /** Callable ones outside the system schemas that run with their owner's rights. */
  definerFunctions: z.array(z.string()),
  /** Languages in which everybody may write functions, where they may create one. */
  languages: z.array(z.string()),
});

export interface PublicInventory {
  /** Databases that every login may connect to. */
  readonly connect: string[];
  readonly databases: z.infer<typeof InDatabase>[];
}

const system = "(n.nspname ~ '^pg_' or n.nspname = 'information_schema')";
const byName = 'collate "C"';

/** Privileges in an access list that are PUBLIC's; a list that was never written has the defaults of its kind. */
function publicAcl(acl: string, kind: string, owner: string): string {
  return `aclexplode(coalesce(${acl}, acldefault('${kind}', ${owner}))) as e`;
}

const databaseSql = `select current_database()::text as database,
  has_database_privilege('public', current_database(), 'temporary') as "temporaryTables",
  has_database_privilege('public', current_database(), 'create') as "create",
  json_build_object(
    'usage', (select coalesce(json_agg(n.nspname order by n.nspname ${byName}), '[]') from pg_namespace n where not ${system} and has_schema_privilege('public', n.oid, 'usage')),
    'create', (select coalesce(json_agg(n.nspname order by n.nspname ${byName}), '[]') from pg_namespace n where not ${system} and has_schema_privilege('public', n.oid, 'create'))
  ) as schemas,
  (select coalesce(json_object_agg(name, privileges), '{}') from (
      select format('%I.%I', n.nspname, c.relname) as name, array_agg(distinct lower(e.privilege_type)) as privileges
        from pg_class c join pg_namespace n on n.oid = c.relnamespace cross join lateral aclexplode(c.relacl) as e
       where c.relacl is not null and e.grantee = 0 and not ${system} group by 1) as r) as relations,
  (select count(*)::int from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where ${system} and exists (select from ${publicAcl("p.proacl", "f", "p.proowner")} where e.grantee = 0)) as "systemFunctions",
  (select coalesce(json_object_agg(schema, callable), '{}') from (
      select n.nspname as schema, count(*)::int as callable from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where not ${system} and exists (select from ${publicAcl("p.proacl", "f", "p.proowner")} where e.grantee = 0) group by 1) as f) as functions,
  (select coalesce(json_agg(signature order by signature ${byName}), '[]') from (
      select p.oid::regprocedure::text as signature from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where not ${system} and p.prosecdef and exists (select from ${publicAcl("p.proacl", "f", "p.proowner")} where e.grantee = 0)) as d) as "definerFunctions",
  (select coalesce(json_agg(lanname order by lanname ${byName}), '[]') from pg_language l
    where lanpltrusted and exists (select from ${publicAcl("l.lanacl", "l", "l.lanowner")} where e.grantee = 0)) as languages`;

const connectSql = `select datname::text as name from pg_database where datallowconn and has_database_privilege('public', oid, 'connect') order by datname ${byName}`;

/** Looks in every database that the resource names. */
export async function publicInventory(server: Server, signal: AbortSignal): Promise<PublicInventory> {
  const [connect, ...databases] = await Promise.all([
    server.read(server.home, connectSql, signal),
    ...server.databases.map((database) => server.read(database, databaseSql, signal)),
  ]);
  return {
    connect: rowsOf(z.object({ name: z.string() }), connect[0]).map((row) => row.name),
    databases: databases.flatMap(([rows]) => [...rowsOf(InDatabase, rows)]),
  };
}

/** The inventory in words that go on from "everybody may"; short enough to be read, with everything counted that is not named. */
export function publicSummary({ connect, databases }: PublicInventory): string[] {
  const lines = [
    ...(connect.length > 0 ? [`connect to the databases ${nameList(connect)}`] : []),
    ...databases.flatMap((inventory) => summaryOf(inventory)),
  ].map((line) => plain(line, maxLine));
  return lines.length <= maxLines
    ? lines
    : [...lines.slice(0, maxLines - 1), `do ${lines.length - maxLines + 1} more things, which the inventory names`];
}

const maxLines = 100;
const maxLine = 1_000;

function summaryOf(inventory: z.infer<typeof InDatabase>): string[] {
  const { schemas, relations, functions, definerFunctions, languages } = inventory;
  const database = `\`${inventory.database}\``;
  const others = Object.values(functions).reduce((sum, count) => sum + count, 0);
  const privileges = [...new Set(Object.values(relations).flat())].sort();
  return [
    ...(inventory.create ? [`create schemas in ${database}`] : []),
    ...(inventory.temporaryTables ? [`make temporary tables in ${database}`] : []),
    ...(schemas.create.length > 0 ? [`create in the schemas ${nameList(schemas.create)} of ${database}`] : []),
    ...(schemas.usage.length > 0 ? [`use the schemas ${nameList(schemas.usage)} of ${database}`] : []),
    ...privileges.map((privilege) => {
      const on = Object.entries(relations).filter(([, given]) => given.includes(privilege));
      return `${privilege} on ${nameList(on.map(([name]) => name).sort())} of ${database}`;
    }),
    ...(definerFunctions.length > 0
      ? [`call, with their owner's rights, the functions ${nameList(definerFunctions)} of ${database}`]
      : []),
    `call ${inventory.systemFunctions} functions of the system and ${others} others of ${database}`,
    ...(languages.length > 0
      ? [`write functions in ${nameList(languages)} in ${database}, where they may create any`]
      : []),
  ];
}

/** The inventory's sharpest points, for people. */
export function publicWarnings(inventory: PublicInventory): readonly string[] {
  const named = new Set(inventory.databases.map(({ database }) => database));
  const unnamed = inventory.connect.filter((database) => !named.has(database));
  const elsewhere =
    unnamed.length > 0
      ? [`every login may connect to databases that the resource does not name: ${nameList(unnamed)}`]
      : [];
  const within = inventory.databases.flatMap(({ database, schemas, relations, definerFunctions }) => {
    const readable = Object.keys(relations).length;
    return [
      ...(schemas.create.length > 0
        ? [
            `every login may create in the schemas ${schemas.create.map((schema) => `\`${schema}\``).join(", ")} of \`${database}\``,
          ]
        : []),
      ...(readable > 0
        ? [`every login may use ${readable} tables or views of \`${database}\`, whatever its grant says`]
        : []),
      ...(definerFunctions.length > 0
        ? [
            `every login may call ${definerFunctions.length} functions of \`${database}\` that run with their owner's rights`,
          ]
        : []),
    ];
  });
  return [...elsewhere, ...within];
}
