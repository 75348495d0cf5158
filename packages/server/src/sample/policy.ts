/** What development mode starts with: small enough to read in a minute, with one rule of each kind. */
export const samplePolicy = `# Cardea's sample policy. Rules are read from the top; see docs/reference/policy.md.
version: 1
rules:
  - name: no-dropping
    description: Whoever asks, and however.
    resources: { labels: { env: sample } }
    permits: { actions: [sql.ddl.drop, sql.truncate] }
    effect: deny
    message: Dropping or emptying a table goes through a migration.

  - name: no-agents-writing
    description: Agents read; they do not change data.
    subjects: { kinds: [agent] }
    resources: { labels: { env: sample } }
    permits: { actions: [sql.insert, sql.update, sql.delete] }
    effect: deny
    message: Agents may only read here. Ask for the role \`read\`.

  - name: engineers-read
    description: Reading is allowed at once, for a working day at most, with a reason.
    subjects: { groups: [engineering] }
    resources: { labels: { env: sample } }
    permits: { roles: [read], actions: [sql.select] }
    require: { justification: { minLength: 5 } }
    limits: { maxDuration: 8h, sessions: 3, via: [gateway, direct] }
    effect: allow

  - name: engineers-change
    description: Changing data needs a database administrator and then security.
    subjects: { kinds: [human], groups: [engineering] }
    resources: { labels: { env: sample } }
    permits: { roles: [write] }
    require: { justification: { minLength: 10 } }
    limits: { maxDuration: 2h, via: [direct, gateway] }
    effect: review
    approvals:
      - { count: 1, from: { groups: [dba] } }
      - { count: 1, from: { groups: [security] } }
    pending: { expire: 8h, remind: 30m }

  - name: engineers-change-once
    description: One statement, exactly as it was approved, needs a database administrator. In a session it waits for that.
    subjects: { kinds: [human], groups: [engineering] }
    resources: { labels: { env: sample } }
    permits: { actions: [sql.select, sql.insert, sql.update, sql.delete] }
    require: { justification: { minLength: 5 } }
    limits: { maxDuration: 30m }
    effect: review
    approvals:
      - { count: 1, from: { groups: [dba] } }
    pending: { expire: 30m }

  - name: engineers-alter-once
    description: The same for changes of tables, which security agrees to as well.
    subjects: { kinds: [human], groups: [engineering] }
    resources: { labels: { env: sample } }
    permits: { actions: [sql.select, sql.ddl.create, sql.ddl.alter] }
    require: { justification: { minLength: 5 } }
    limits: { maxDuration: 30m }
    effect: review
    approvals:
      - { count: 1, from: { groups: [dba] } }
      - { count: 1, from: { groups: [security] } }
    pending: { expire: 30m }

  - name: fire
    description: On call, at once, in an emergency; security looks at it afterwards.
    subjects: { groups: [on-call] }
    resources: { labels: { env: sample } }
    permits: { roles: [write] }
    require: { justification: { minLength: 10 } }
    limits: { maxDuration: 30m, via: [direct, gateway] }
    effect: allow
    breakGlass: { review: { within: 24h, from: { groups: [security] } } }
`;
