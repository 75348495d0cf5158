import { samplePolicy } from "@cardea/server/sample/policy";

/**
 * The sample policy with rules of every kind before it, each chosen by a request's ticket, so that one requester can meet them all. Group
 * `outsiders` is permitted nothing but under conditions that nobody here can bring about.
 */
export const attackPolicy = samplePolicy.replace(
  "  - name: engineers-read\n",
  `${[
    ticketRule(
      "both-together",
      "BOTH",
      "[[{ count: 1, from: { groups: [dba] } }, { count: 1, from: { groups: [security] } }]]",
    ),
    ticketRule(
      "same-group-twice",
      "STAGES",
      "[{ count: 1, from: { groups: [dba] } }, { count: 1, from: { groups: [dba] } }]",
    ),
    ticketRule("two-of-dba", "QUORUM", "[{ count: 2, from: { groups: [dba] } }]"),
    ticketRule("one-of-dba", "ONE", "[{ count: 1, from: { groups: [dba] } }]"),
    ticketRule("in-a-hurry", "HASTY", "[{ count: 1, from: { groups: [dba] } }]", "\n    pending: { expire: 2s }"),
    ticketRule("by-admins", "ADMINS", "[{ count: 1, from: { groups: [admins] } }]"),
  ].join("")}
  - name: agents-ask
    subjects: { kinds: [agent], groups: [engineering] }
    permits: { roles: [read] }
    limits: { maxDuration: 1h, via: [direct] }
    effect: review
    approvals: [{ count: 1, from: { groups: [dba] } }]

  - name: agents-ask-once
    subjects: { kinds: [agent], groups: [engineering] }
    permits: { actions: [sql.select] }
    limits: { maxDuration: 30m }
    effect: review
    approvals: [{ count: 1, from: { groups: [dba] } }]

  - name: from-the-office
    subjects: { groups: [outsiders] }
    permits: { roles: [read] }
    when: verified.sourceIp == "10.1.2.3"
    limits: { maxDuration: 1h, via: [direct] }
    effect: allow

  - name: when-on-call
    subjects: { groups: [outsiders] }
    permits: { roles: [read] }
    when: has(verified.onCall) && verified.onCall == true
    limits: { maxDuration: 1h, via: [direct] }
    effect: allow

  - name: when-cleared
    subjects: { groups: [outsiders] }
    permits: { roles: [read] }
    when: has(request.ticket) && request.ticket == "CLEARED" && verified.claims.clearance == "high"
    limits: { maxDuration: 1h, via: [direct] }
    effect: allow

  - name: engineers-read
`,
);

/** The attack policy and a first rule that forbids engineers everything. */
export const lockedDownPolicy = attackPolicy.replace(
  "rules:\n",
  `rules:
  - name: lock-down
    subjects: { groups: [engineering] }
    effect: deny
    message: Nothing today.

`,
);

function ticketRule(name: string, ticket: string, approvals: string, more = ""): string {
  return `
  - name: ${name}
    subjects: { kinds: [human], groups: [engineering] }
    permits: { roles: [write] }
    when: has(request.ticket) && request.ticket == "${ticket}"
    limits: { maxDuration: 2h, via: [direct] }
    effect: review
    approvals: ${approvals}${more}
`;
}
