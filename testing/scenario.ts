/**
 * A small installation to ask in, for tests and measurements of the control plane: people, an outpost that exists on paper only, the resource
 * `prod-orders`, and a policy. Nobody signs in: an `Actor` is what the entrance would have made of them.
 */
import type { Actor, Control } from "@cardea/control/control";
import { addSubject } from "@cardea/control/people/add-subject";
import { changeRoster, nameOutpost } from "@cardea/control/people/change-roster";
import { currentRoster } from "@cardea/control/people/roster";
import { installPolicy } from "@cardea/control/policy/apply";
import { submitRequest } from "@cardea/control/requests/submit";
import { insertOutpost } from "@cardea/control/store/outposts";
import { storeReport } from "@cardea/control/store/resources";
import { signDocument } from "@cardea/control/store/signed";
import { transact } from "@cardea/control/store/transaction";
import { CreatePerson } from "@cardea/core/wire/api/people";
import { SubmitRequest, type RequestView } from "@cardea/core/wire/api/requests";
import { Enrolment } from "@cardea/core/wire/enrolment";
import { newId, type OutpostId, type ResourceId, type SubjectId } from "@cardea/core/contract/ids";
import { digestOf } from "@cardea/core/documents/digest";
import { toTime } from "@cardea/core/documents/primitives";
import type { ResourceSpec } from "@cardea/core/documents/resource-spec";
import type { RosterEntry } from "@cardea/core/documents/roster";
import { signDigest } from "@cardea/core/documents/signature";
import { toBase64Url } from "@cardea/core/lib/base64url";
import { ed25519PublicKey } from "@cardea/core/lib/crypto";
import { samplePublicPrivileges, sampleSpec } from "@cardea/core/policy/samples";

/** A point of P-256 (its generator), for requests whose secret nobody opens. */
export const deliveryKey = "BGsX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKWT-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU";

/** `read` is allowed, `write` needs 1 of dba and then 1 of security, `admin` is break-glass. */
export const scenarioPolicy = `
version: 1
rules:
  - name: engineers-read
    subjects: { groups: [engineering] }
    permits: { roles: [read] }
    limits: { maxDuration: 4h, via: [direct, gateway] }
    effect: allow
  - name: engineers-write
    subjects: { groups: [engineering] }
    permits: { roles: [write] }
    require: { justification: { minLength: 5 } }
    limits: { maxDuration: 2h }
    effect: review
    approvals:
      - { count: 1, from: { groups: [dba] } }
      - { count: 1, from: { groups: [security] } }
    pending: { expire: 8h, remind: 30m, escalate: { after: 1h, to: { groups: [leads] } } }
  - name: fire
    subjects: { groups: [on-call] }
    permits: { roles: [admin] }
    limits: { maxDuration: 30m, via: [direct, gateway] }
    effect: allow
    breakGlass: { review: { within: 24h, from: { groups: [security] } } }
`;

export interface Scenario {
  readonly outpost: OutpostId;
  /** Of its identity, by which a test speaks in its name. */
  readonly outpostSeed: Uint8Array;
  readonly resource: ResourceId;
  /** As the entrance would have it, with the standing of now. */
  actor(name: string, presence?: Actor["presence"]): Promise<Actor>;
  subject(name: string): Promise<SubjectId>;
  /** Files a request, `write` for an hour unless said otherwise. */
  submit(name: string, input?: Partial<SubmitRequest>): Promise<RequestView>;
  /** Replaces parts of somebody's entry. */
  change(name: string, change: Partial<RosterEntry>): Promise<void>;
  /** Reports the resource anew, as its outpost would. */
  report(spec: Partial<ResourceSpec>): Promise<ResourceSpec>;
}

const people: Readonly<Record<string, Partial<CreatePerson>>> = {
  ada: { groups: ["engineering"] },
  bob: { groups: ["engineering", "on-call"] },
  dan: { groups: ["dba"] },
  dora: { groups: ["dba", "security"] },
  sam: { groups: ["security"] },
  lea: { groups: ["leads"] },
  root: { permissions: ["admin", "member"] },
  audrey: { permissions: ["auditor", "member"] },
  eve: {},
};

/** Fills an empty, migrated installation: these people, and `robo`, an agent that acts for `ada`. */
export async function scenario(control: Control, policy: string = scenarioPolicy): Promise<Scenario> {
  await currentRoster(control);
  const seed = control.random.bytes(32);
  const outpost = newId("outpost", control.clock, control.random);
  const resource = newId("resource", control.clock, control.random);
  await transact(control, async (tx) => {
    const ids = new Map<string, SubjectId>();
    for (const [name, person] of Object.entries(people)) {
      const subject = newId("subject", control.clock, control.random);
      ids.set(name, subject);
      await addSubject(tx, control, subject, CreatePerson.parse({ name, ...person }), undefined);
    }
    const robo = CreatePerson.parse({
      name: "robo",
      kind: "agent",
      actsFor: ids.get("ada"),
      groups: ["engineering", "on-call"],
    });
    await addSubject(tx, control, newId("subject", control.clock, control.random), robo, undefined);
    const enrolment = Enrolment.parse({
      v: 1,
      id: outpost,
      name: "site-a",
      identityKey: toBase64Url(ed25519PublicKey(seed)),
      sealKey: deliveryKey,
      enrolledAt: toTime(control.clock.now()),
    });
    await insertOutpost(tx, signDocument(control.keys, "link", enrolment));
    await nameOutpost(tx, control, enrolment, undefined);
  });
  const report = async (over: Partial<ResourceSpec>): Promise<ResourceSpec> => {
    const spec = sampleSpec({ id: resource, outpost, ...over });
    const digest = digestOf("spec", spec);
    await transact(control, (tx) =>
      storeReport(tx, {
        id: resource,
        name: spec.name,
        outpost,
        state: "ready",
        detail: undefined,
        version: "15",
        missing: [],
        warnings: [],
        spec: { document: spec, digest, signature: signDigest("outpost", "outpost", seed, digest) },
        publicPrivileges: samplePublicPrivileges,
        at: toTime(control.clock.now()),
      }),
    );
    return spec;
  };
  await report({});
  await installPolicy(control, policy);

  const entryOf = async (name: string): Promise<RosterEntry> => {
    const entry = (await currentRoster(control)).byName(name);
    if (entry === undefined) throw new Error(`nobody is called ${name}`);
    return entry;
  };
  const actor: Scenario["actor"] = async (name, presence) => {
    const entry = await entryOf(name);
    return {
      subject: entry.subject,
      name,
      entry,
      permissions: entry.permissions,
      presence: presence ?? { method: "sign-in", credential: newId("credential", control.clock, control.random) },
      sourceIp: "10.1.2.3",
    };
  };
  return {
    outpost,
    outpostSeed: seed,
    resource,
    actor,
    subject: async (name) => (await entryOf(name)).subject,
    submit: async (name, input = {}) =>
      submitRequest(
        control,
        await actor(name),
        SubmitRequest.parse({
          resource: "prod-orders",
          ask: { role: "write" },
          justification: "refund case 4711",
          window: { duration: "1h" },
          deliverTo: deliveryKey,
          ...input,
        }),
      ),
    change: (name, change) =>
      transact(control, (tx) =>
        changeRoster(tx, control, (view) =>
          view
            .entries()
            .filter((entry) => entry.name === name)
            .map((entry) => ({ ...entry, ...change })),
        ),
      ),
    report,
  };
}
