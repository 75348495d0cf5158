import type { CreatePerson } from "@cardea/core/wire/api/people";

/** Who lives in development mode. `--as NAME` acts as one of them, with an ordinary device key from the data directory. */
export const samplePeople: readonly CreatePerson[] = [
  { name: "alice", displayName: "Alice Engel", email: "alice@example.com", groups: ["engineering", "on-call"] },
  { name: "bob", displayName: "Bob Dahl", email: "bob@example.com", groups: ["dba"] },
  { name: "carol", displayName: "Carol Diaz", email: "carol@example.com", groups: ["dba", "engineering"] },
  { name: "sam", displayName: "Sam Okafor", email: "sam@example.com", groups: ["security"] },
  {
    name: "ada",
    displayName: "Ada Lund",
    email: "ada@example.com",
    groups: ["admins"],
    permissions: ["member", "auditor", "admin"],
  },
];
