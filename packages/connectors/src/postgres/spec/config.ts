/** The configuration of a PostgreSQL resource: one entry of `outpost.yaml`. Unknown fields are refused everywhere. */
import { z } from "zod";
import { ActionName } from "@cardea/core/documents/pattern";
import { Duration, Name, plainText } from "@cardea/core/documents/primitives";
import { actionsNamed } from "./actions.ts";
import { parsePrivilege } from "./privileges.ts";
import { maxIdentifierBytes, parseTableName } from "./table-name.ts";

/** Where a secret or a certificate comes from. */
const Secret = z.union([
  z.strictObject({ env: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "not the name of an environment variable") }),
  z.strictObject({ file: z.string().min(1).max(4_096) }),
  z.strictObject({ value: z.string().min(1).max(20_000) }),
]);

/** A name as PostgreSQL stores it, exactly as it is. */
const Identifier = z
  .string()
  .min(1)
  .refine((name) => name.isWellFormed() && !name.includes("\0"), "not a name in PostgreSQL")
  .refine((name) => Buffer.byteLength(name) <= maxIdentifierBytes, `longer than ${maxIdentifierBytes} bytes`);

const Tls = z.strictObject({
  /**
   * As libpq's `sslmode`. `require` encrypts but believes any certificate, `verify-ca` believes any server that the authority signed,
   * `verify-full` wants the host's own name in it.
   */
  mode: z.enum(["disable", "require", "verify-ca", "verify-full"]),
  /** PEM. Default: the authorities that Node trusts. */
  ca: Secret.optional(),
});

const Connect = z
  .strictObject({
    /** A host name, an address, or the folder of a Unix socket. */
    host: z.string().min(1).max(255),
    port: z.int().min(1).max(65_535).default(5432),
    /** The databases that roles reach. The first is where logins are made. */
    databases: z.array(Identifier).min(1).max(100),
    /** The administrator that Cardea works as. */
    user: Identifier,
    password: Secret.optional(),
    /** Default: `verify-full`; on loopback and Unix sockets `disable`. */
    tls: Tls.optional(),
  })
  .refine((connect) => new Set(connect.databases).size === connect.databases.length, {
    path: ["databases"],
    message: "names a database twice",
  })
  .refine((connect) => connect.tls === undefined || connect.tls.mode === "disable" || !connect.host.startsWith("/"), {
    path: ["tls"],
    message: "a Unix socket has no TLS: write `disable` or leave it out",
  });

const TablePattern = z
  .string()
  .max(256)
  .refine((text) => parseTableName(text) !== undefined, "not a table such as `public.orders` or `public.*`")
  .refine(
    (text) => !isSystemSchema(parseTableName(text)?.schema ?? ""),
    "a system schema: every login has what it gives",
  );

const PrivilegeText = z
  .string()
  .max(2_000)
  .superRefine((text, context) => {
    const privilege = parsePrivilege(text);
    if (!privilege.ok) context.addIssue({ code: "custom", message: privilege.detail });
  });

/** Existing native roles, as they are: Cardea adds nothing to them. */
const MemberRole = z.strictObject({
  member: z.array(Identifier).min(1).max(20),
  /** What it is for. Default: everything. Registration refuses a native role that can do more. */
  actions: z
    .array(ActionName.refine((name) => actionsNamed(name).length > 0, "no such action on PostgreSQL"))
    .min(1)
    .max(50)
    .default(["sql.*"]),
  description: plainText(500).optional(),
});

/** Privileges that Cardea puts into a native role of its own. */
const GrantRole = z.strictObject({
  grant: z
    .array(
      z.strictObject({
        tables: z.array(TablePattern).min(1).max(1_000),
        privileges: z.array(PrivilegeText).min(1).max(20),
      }),
    )
    .min(1)
    .max(100),
  description: plainText(500).optional(),
});

/** How sessions behind the gateway are kept. */
const Gateway = z.strictObject({
  /** Sessions open at once, of all keys. Default: as many as keys allow. */
  sessionsMax: z.int().min(1).max(10_000).optional(),
  /** How long a held statement waits for its approval. Default: 30m. */
  holdTimeout: Duration.optional(),
  /** The same inside an open transaction, which holds locks meanwhile. Default: 2m. */
  transactionHoldTimeout: Duration.optional(),
  /** Whether the rows that come back are recorded too. Default: no. */
  recordResults: z.boolean().optional(),
  /** Statements are never tried out for their approvers; nothing else can be written. */
  dryRun: z.literal("off", "dry runs are not offered: write `off` or leave it out").optional(),
});

export const PostgresConfig = z.strictObject({
  name: Name,
  kind: z.literal("postgres"),
  labels: z.record(z.string().regex(/^[a-z][a-z0-9_-]{0,62}$/, "not a label"), plainText(100)).default({}),
  owners: z.strictObject({ groups: z.array(Name).max(100) }).default({ groups: [] }),
  connect: Connect,
  roles: z
    .record(Name, z.union([MemberRole, GrantRole]))
    .refine((roles) => Object.keys(roles).length > 0, "names no role"),
  /** The native role that approved DDL runs as. */
  ddl: z.strictObject({ as: Identifier }).optional(),
  gateway: Gateway.optional(),
});
export type PostgresConfig = z.infer<typeof PostgresConfig>;
export type RoleConfig = PostgresConfig["roles"][string];

function isSystemSchema(schema: string): boolean {
  return schema.startsWith("pg_") || schema === "information_schema";
}
