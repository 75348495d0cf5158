/** The files that init writes: complete, commented, and the newcomer's own from then on. */
import { stringify } from "yaml";
import type { ConnectAnswers } from "./answers.ts";

export interface ChosenRole {
  readonly name: "read" | "write";
  readonly native: string;
}

/** One entry of `outpost.yaml`, as the connector's schema takes it. */
export function resourceEntry(answers: ConnectAnswers, roles: readonly ChosenRole[]) {
  return {
    name: answers.name,
    kind: "postgres",
    labels: { env: "prod" },
    owners: { groups: ["owners"] },
    connect: {
      host: answers.host,
      port: answers.port,
      databases: [...answers.databases],
      user: answers.user,
      ...(answers.passwordFile !== undefined && { password: { file: answers.passwordFile } }),
      tls: { mode: answers.tls },
    },
    roles: Object.fromEntries(roles.map(({ name, native }) => [name, { member: [native], actions: actionsOf[name] }])),
  };
}

const actionsOf = {
  read: ["sql.select"],
  write: ["sql.select", "sql.insert", "sql.update", "sql.delete"],
} as const;

export function outpostYaml(answers: ConnectAnswers, roles: readonly ChosenRole[]): string {
  return `# What this outpost looks after. Passwords stay in files or variables that only it can read.\n${gatewayHint}${stringify({ resources: [resourceEntry(answers, roles)] }, { lineWidth: 120 })}`;
}

/** Where a gateway can be reached is the newcomer's to know. */
const gatewayHint = `
# With a gateway keys open it instead of the database: it judges and records each statement, and some can wait for their approval.
# gateway: { postgres: { listen: "127.0.0.1:7432" } }

`;

export function cardeaYaml(): string {
  return `# The control plane's settings; every one is also a CARDEA_* variable.
# How people and outposts reach it. Its host is permanent: choose it before people enrol passkeys.
publicUrl: http://localhost:7400
listen: { host: 127.0.0.1, port: 7400 }

# Without this line Cardea runs a PostgreSQL of its own in .cardea/.
# database: postgresql://cardea@db.internal/cardea

# mail: { url: "smtp://mail.internal:25", from: "cardea@example.com" }
`;
}

/** A first policy: reading at once, changing with another person's approval. */
export function policyYaml(answers: ConnectAnswers, roles: readonly ChosenRole[]): string {
  const rules = {
    read: `  - name: read-with-a-reason
    subjects: { groups: [engineering] }
    resources: { names: [${answers.name}] }
    permits: { roles: [read] }
    require: { justification: { minLength: 5 } }
    limits: { maxDuration: 4h, sessions: 3, via: [gateway, direct] }
    effect: allow
`,
    write: `  - name: change-with-approval
    subjects: { kinds: [human], groups: [engineering] }
    resources: { names: [${answers.name}] }
    permits: { roles: [write] }
    require: { justification: { minLength: 10 } }
    limits: { maxDuration: 1h, via: [gateway, direct] }
    effect: review
    approvals:
      - { count: 1, from: { groups: [owners] } }
    pending: { expire: 8h }
`,
  };
  return `# Who may do what, for how long, and who must agree. Rules are read from the top; nothing else is permitted.\nversion: 1\nrules:\n${roles.map(({ name }) => rules[name]).join("\n")}`;
}
