import { describe, expect, test } from "vitest";
import { Capabilities } from "@cardea/core/documents/resource-spec";
import { Patterns } from "@cardea/core/documents/pattern";
import { postgresSpec } from "./spec.ts";
import { actionNames, actionsNamed } from "./actions.ts";
import { PostgresConfig } from "./config.ts";
import { rolePatterns } from "./roles.ts";

const minimal = {
  name: "prod-orders",
  kind: "postgres",
  connect: { host: "db.internal", databases: ["orders"], user: "cardea_admin", password: { env: "ORDERS_ADMIN" } },
  roles: { read: { member: ["app_ro"] } },
};

const full = {
  ...minimal,
  labels: { env: "prod", data: "customer" },
  owners: { groups: ["owners-of-orders"] },
  connect: { ...minimal.connect, port: 5433, tls: { mode: "verify-full", ca: { file: "ca.pem" } } },
  roles: {
    read: { member: ["app_ro"], actions: ["sql.select"], description: "reading" },
    write: { grant: [{ tables: ["public.orders"], privileges: ["select", "insert", "update(status, note)"] }] },
  },
  ddl: { as: "app_owner" },
  gateway: { sessionsMax: 50, holdTimeout: "30m", transactionHoldTimeout: "2m", recordResults: false, dryRun: "off" },
};

describe("a resource's configuration", () => {
  test("has defaults that restrict nothing by accident and trust nothing by accident", () => {
    const config = PostgresConfig.parse(minimal);
    expect(config).toMatchObject({
      labels: {},
      owners: { groups: [] },
      connect: { port: 5432 },
      roles: { read: { actions: ["sql.*"] } },
    });
    expect(config.connect.tls).toBeUndefined();
  });

  test("in full, and the same when read again", () => {
    const config = PostgresConfig.parse(full);
    expect(config).toEqual(full);
    expect(PostgresConfig.parse(config)).toEqual(config);
  });

  test.each<[string, object, string]>([
    ["an unknown field", { ...full, extra: 1 }, ""],
    [
      "an unknown field of a role",
      { ...full, roles: { read: { member: ["a"], privileges: ["select"] } } },
      "roles.read",
    ],
    ["a role that is both", { ...full, roles: { read: { member: ["a"], grant: [] } } }, "roles.read"],
    ["no role", { ...full, roles: {} }, "roles"],
    ["a role's name", { ...full, roles: { "Read It": { member: ["a"] } } }, "roles"],
    ["a password in the clear", { ...full, connect: { ...full.connect, password: "hunter2" } }, "connect.password"],
    ["no database", { ...full, connect: { ...full.connect, databases: [] } }, "connect.databases"],
    ["a database twice", { ...full, connect: { ...full.connect, databases: ["a", "a"] } }, "connect.databases"],
    ["a native role of 64 bytes", { ...full, roles: { read: { member: ["é".repeat(32)] } } }, "roles.read"],
    [
      "a table without schema",
      { ...full, roles: { w: { grant: [{ tables: ["orders"], privileges: ["select"] }] } } },
      "roles.w",
    ],
    [
      "a system schema",
      { ...full, roles: { w: { grant: [{ tables: ["pg_catalog.*"], privileges: ["select"] }] } } },
      "roles.w",
    ],
    ["a privilege", { ...full, roles: { w: { grant: [{ tables: ["a.b"], privileges: ["all"] }] } } }, "roles.w"],
    ["an action", { ...full, roles: { read: { member: ["a"], actions: ["sql.selct"] } } }, "roles.read"],
    ["an empty list of actions", { ...full, roles: { read: { member: ["a"], actions: [] } } }, "roles.read"],
    ["TLS on a Unix socket", { ...full, connect: { ...full.connect, host: "/run/postgresql" } }, "connect.tls"],
    ["a setting that would do nothing", { ...full, gateway: { dryRun: "on" } }, "gateway.dryRun"],
    ["a time that is none", { ...full, gateway: { holdTimeout: "soon" } }, "gateway.holdTimeout"],
    ["a port", { ...full, connect: { ...full.connect, port: 0 } }, "connect.port"],
  ])("refuses %s", (_name, config, path) => {
    const parsed = PostgresConfig.safeParse(config);
    expect(parsed.success).toBe(false);
    const paths = parsed.error?.issues.map((issue) => issue.path.join(".")) ?? [];
    expect(paths.some((found) => found.startsWith(path))).toBe(true);
  });

  test("an error names the field and repeats no secret", () => {
    const parsed = PostgresConfig.safeParse({
      ...full,
      connect: { ...full.connect, password: { value: "hunter2", extra: 1 } },
    });
    expect(parsed.success).toBe(false);
    expect(JSON.stringify(parsed.error?.issues)).not.toContain("hunter2");
  });

  test("its roles are patterns that core understands", () => {
    const config = PostgresConfig.parse(full);
    for (const role of Object.values(config.roles))
      expect(Patterns.min(1).safeParse(rolePatterns(role, config.connect.databases)).success).toBe(true);
    expect(
      rolePatterns(config.roles["write"] ?? { member: [], actions: [] }, ["orders"]).map(({ name }) => name),
    ).toEqual(["sql.select", "sql.insert", "sql.update"]);
  });
});

describe("what the kind can do", () => {
  test("is stated in core's terms: keys of a gateway, which enforces everything, and direct ones, whose addresses and uses nothing limits", () => {
    expect(Capabilities.parse(postgresSpec.capabilities)).toEqual(postgresSpec.capabilities);
    expect(postgresSpec.capabilities.vias).toEqual({
      gateway: {
        expiry: "gateway",
        sessions: "gateway",
        closesSessions: "gateway",
        sourceIps: "gateway",
        uses: "gateway",
        hold: "gateway",
      },
      direct: {
        expiry: "native",
        sessions: "native",
        closesSessions: "native",
        sourceIps: "none",
        uses: "none",
        hold: "none",
      },
    });
  });

  test("a name ending in `.*` stands for all below it and nothing beside it", () => {
    expect(actionsNamed("sql.ddl.*")).toEqual(["sql.ddl.create", "sql.ddl.alter", "sql.ddl.drop"]);
    expect(actionsNamed("sql.*")).toEqual(actionNames);
    expect(actionsNamed("sql.ddl")).toEqual([]);
    expect(actionsNamed("http.*")).toEqual([]);
  });
});
