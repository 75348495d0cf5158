import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { z } from "zod";
import { challengeDigest, enrolmentDigest } from "@cardea/core/wire/api/sign-in";
import {
  ChangePerson,
  CreatePerson,
  CreateToken,
  type Challenge,
  type Enrol,
  type NewCredential,
} from "@cardea/core/wire/api/people";
import { CardeaError } from "@cardea/core/contract/errors";
import { newId, type CredentialId, type SubjectId } from "@cardea/core/contract/ids";
import { digestOf, type Digest } from "@cardea/core/documents/digest";
import { verifyDigest } from "@cardea/core/documents/signature";
import { manualClock, type ManualClock } from "@cardea/core/lib/clock";
import { toBase64Url } from "@cardea/core/lib/base64url";
import { ed25519PublicKey, ed25519Sign } from "@cardea/core/lib/crypto";
import { startTestCluster, type TestCluster } from "@cardea/testing/cluster";
import { startTestControl, type TestControl } from "@cardea/testing/control";
import type { Actor, Control } from "../control.ts";
import { keyedHash } from "../store/sealed.ts";
import { authenticate } from "./authenticate.ts";
import { changePerson, revokeCredential } from "./change-person.ts";
import { createPerson } from "./create-person.ts";
import { enrol } from "./enrol.ts";
import { createSetupToken, invite } from "./invitations.ts";
import { listPeople, showPerson } from "./list-people.ts";
import { currentRoster } from "./roster.ts";
import { challenge, signIn, signOut } from "./sign-in.ts";
import { createToken, listTokens, maxTokens, revokeToken } from "./tokens.ts";

let cluster: TestCluster;
let test_: TestControl;
let control: Control;
let clock: ManualClock;
const encoder = new TextEncoder();
const start = Date.parse("2026-11-22T09:00:00.000Z");

beforeAll(async () => {
  cluster = await startTestCluster({ version: 15 });
});
afterAll(() => cluster.stop());

beforeEach(async () => {
  clock = manualClock(start);
  test_ = await startTestControl(cluster, { clock });
  control = test_.control;
  await currentRoster(control);
  return () => test_.stop();
});

interface Device {
  readonly seed: Uint8Array;
  readonly credential: NewCredential;
}

function device(): Device {
  const seed = control.random.bytes(32);
  return { seed, credential: { kind: "device", publicKey: toBase64Url(ed25519PublicKey(seed)), label: "laptop" } };
}

function sign(seed: Uint8Array, digest: Digest): string {
  return toBase64Url(ed25519Sign(seed, encoder.encode(digest)));
}

function enrolment(invitation: string, { seed, credential }: Device): z.output<typeof Enrol> {
  return {
    invitation,
    credential: { ...credential, label: credential.label ?? "" },
    signature: sign(seed, enrolmentDigest(invitation, credential)),
  };
}

async function signedIn(credential: CredentialId, seed: Uint8Array): Promise<string> {
  const asked = challenge(control, credential);
  return (await signIn(control, { challenge: asked.nonce, signature: sign(seed, challengeDigest(asked)) }, "10.0.0.1"))
    .token;
}

async function actorOf(token: string, as: Control = control): Promise<Actor> {
  const result = await authenticate(as, `Bearer ${token}`, "10.0.0.1");
  if (!result.ok) throw new Error(result.code);
  return result.value.actor;
}

interface Person {
  readonly actor: Actor;
  readonly token: string;
  readonly seed: Uint8Array;
  readonly credential: CredentialId;
}

async function firstAdmin(): Promise<Person> {
  const setup = await createSetupToken(control);
  const own = device();
  const { credential } = await enrol(control, enrolment(setup.token, own));
  const token = await signedIn(credential, own.seed);
  return { actor: await actorOf(token), token, seed: own.seed, credential };
}

async function person(admin: Person, input: Partial<CreatePerson> & { name: string }): Promise<Person> {
  const { invitation } = await createPerson(control, admin.actor, CreatePerson.parse(input));
  const own = device();
  const { credential } = await enrol(control, enrolment(invitation?.invitation ?? "", own));
  const token = await signedIn(credential, own.seed);
  return { actor: await actorOf(token), token, seed: own.seed, credential };
}

async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => "done",
    (error: unknown) => (error instanceof CardeaError ? error.code : error),
  );
}

async function refusal(token: string, as: Control = control): Promise<string> {
  const result = await authenticate(as, `Bearer ${token}`, "10.0.0.1");
  return result.ok ? "let in" : result.code;
}

async function auditTypes(): Promise<unknown[]> {
  const rows = await test_.sql("select event::jsonb ->> 'type' as type from audit_pending order by seq");
  return rows.map((row) => row["type"]);
}

describe("the first administrator", () => {
  test("comes in by the set-up token, and everything on the way is logged", async () => {
    const admin = await firstAdmin();
    expect(admin.actor).toMatchObject({
      name: "admin",
      permissions: ["admin", "member"],
      presence: { method: "sign-in" },
      sourceIp: "10.0.0.1",
    });
    expect(await auditTypes()).toEqual([
      "subject.created",
      "subject.invited",
      "credential.enrolled",
      "subject.signed_in",
    ]);
  });

  test("is not made twice: the set-up token is refused once somebody can administer", async () => {
    await firstAdmin();
    expect(await codeOf(createSetupToken(control))).toBe("conflict");
  });

  test("can be tried again after 15 minutes with another token, for the same subject", async () => {
    const first = await createSetupToken(control);
    clock.advance(15 * 60_000);
    expect(await codeOf(enrol(control, enrolment(first.token, device())))).toBe("invitation_invalid");
    const second = await createSetupToken(control);
    expect(second.subject).toBe(first.subject);
    expect(await codeOf(enrol(control, enrolment(second.token, device())))).toBe("done");
  });

  test("of two set-up tokens asked for at once, both are one subject's", async () => {
    const tokens = await Promise.all([createSetupToken(control), createSetupToken(control), createSetupToken(control)]);
    expect(new Set(tokens.map((token) => token.subject)).size).toBe(1);
  });
});

describe("an invitation", () => {
  test("is spent by the first enrolment, however many come at once", async () => {
    const { token } = await createSetupToken(control);
    const outcomes = await Promise.all([1, 2, 3, 4].map(() => codeOf(enrol(control, enrolment(token, device())))));
    expect(outcomes.toSorted()).toEqual(["done", "invitation_invalid", "invitation_invalid", "invitation_invalid"]);
  });

  test("stays spent when its row is put back by SQL", async () => {
    const { token } = await createSetupToken(control);
    const [row] = await test_.sql("select * from invitations");
    await enrol(control, enrolment(token, device()));
    await test_.sql("delete from invitations");
    await test_.sql("insert into invitations select * from jsonb_populate_record(null::invitations, $1)", [
      JSON.stringify(row),
    ]);
    expect(await codeOf(enrol(control, enrolment(token, device())))).toBe("invitation_invalid");
  });

  test("is not made, moved to another subject or prolonged by SQL", async () => {
    const admin = await firstAdmin();
    const { invitation } = await createPerson(control, admin.actor, CreatePerson.parse({ name: "mallory" }));
    const text = invitation?.invitation ?? "";
    await test_.sql("update invitations set subject_id = $1, bound = $2", [admin.actor.subject, admin.credential]);
    expect(await codeOf(enrol(control, enrolment(text, device())))).toBe("invitation_invalid");
    await test_.sql("update invitations set subject_id = $1, bound = '', expires_at = expires_at + interval '1 year'", [
      invitation?.subject,
    ]);
    expect(await codeOf(enrol(control, enrolment(text, device())))).toBe("invitation_invalid");
  });

  test("gets one answer whether unknown, expired or spent, and cannot be combined with another key's signature", async () => {
    const admin = await firstAdmin();
    const { invitation } = await createPerson(control, admin.actor, CreatePerson.parse({ name: "dana" }));
    const text = invitation?.invitation ?? "";
    const [own, other] = [device(), device()];
    expect(await codeOf(enrol(control, { ...enrolment(text, own), signature: enrolment(text, other).signature }))).toBe(
      "signature_invalid",
    );
    expect(await codeOf(enrol(control, { ...enrolment(text, own), invitation: `${text}x` }))).toBe("signature_invalid");
    expect(await codeOf(enrol(control, enrolment("cardea_invitation_nope", own)))).toBe("invitation_invalid");
    clock.advance(8 * 86_400_000);
    expect(await codeOf(enrol(control, enrolment(text, own)))).toBe("invitation_invalid");
  });

  test("does not let one key belong to two subjects", async () => {
    const admin = await firstAdmin();
    const { invitation } = await createPerson(control, admin.actor, CreatePerson.parse({ name: "twin" }));
    const same: Device = {
      seed: admin.seed,
      credential: { kind: "device", publicKey: toBase64Url(ed25519PublicKey(admin.seed)) },
    };
    expect(await codeOf(enrol(control, enrolment(invitation?.invitation ?? "", same)))).toBe("conflict");
  });

  test("adds a second credential to somebody who has one", async () => {
    const admin = await firstAdmin();
    const { invitation } = await invite(control, admin.actor, admin.actor.subject);
    await enrol(control, enrolment(invitation, device()));
    const view = await showPerson(control, admin.actor, admin.actor.subject);
    expect(view.entry.credentials).toHaveLength(2);
  });
});

describe("signing in", () => {
  test("gives a token for 12 hours", async () => {
    const admin = await firstAdmin();
    clock.advance(12 * 3_600_000 - 1);
    expect(await refusal(admin.token)).toBe("let in");
    clock.advance(1);
    expect(await refusal(admin.token)).toBe("sign_in_expired");
  });

  test("answers a challenge once, within 5 minutes, and only the very challenge", async () => {
    const { credential, seed } = await firstAdmin();
    const asked = challenge(control, credential);
    const answer = { challenge: asked.nonce, signature: sign(seed, challengeDigest(asked)) };
    expect(await codeOf(signIn(control, answer, "::1"))).toBe("done");
    expect(await codeOf(signIn(control, answer, "::1"))).toBe("challenge_invalid");

    const late = challenge(control, credential);
    clock.advance(5 * 60_000);
    expect(
      await codeOf(signIn(control, { challenge: late.nonce, signature: sign(seed, challengeDigest(late)) }, "::1")),
    ).toBe("challenge_invalid");

    const fresh = challenge(control, credential);
    for (const forged of ["", "x.y", `${fresh.nonce}x`, fresh.nonce.replace(/\.\d+\./, ".99999999999999."), "..."]) {
      expect(
        await codeOf(signIn(control, { challenge: forged, signature: sign(seed, challengeDigest(fresh)) }, "::1")),
      ).toBe("challenge_invalid");
    }
    const elsewhere: Challenge = { ...fresh, origin: "https://evil.example" };
    expect(
      await codeOf(
        signIn(control, { challenge: fresh.nonce, signature: sign(seed, challengeDigest(elsewhere)) }, "::1"),
      ),
    ).toBe("signature_invalid");
  });

  test("answers two at once with the same signed challenge by one token", async () => {
    const { credential, seed } = await firstAdmin();
    const asked = challenge(control, credential);
    const answer = { challenge: asked.nonce, signature: sign(seed, challengeDigest(asked)) };
    const outcomes = await Promise.all([1, 2, 3].map(() => codeOf(signIn(control, answer, "::1"))));
    expect(outcomes.toSorted()).toEqual(["challenge_invalid", "challenge_invalid", "done"]);
  });

  test("refuses an unknown credential and a wrong signature in the same words", async () => {
    const { credential } = await firstAdmin();
    const unknown = newId("credential", control.clock, control.random);
    const own = device();
    const [real, ghost] = [challenge(control, credential), challenge(control, unknown)];
    expect(Object.keys(real)).toEqual(Object.keys(ghost));
    const errors = await Promise.all(
      [real, ghost].map((asked) =>
        signIn(control, { challenge: asked.nonce, signature: sign(own.seed, challengeDigest(asked)) }, "::1").catch(
          (error: unknown) => error,
        ),
      ),
    );
    expect(errors[0]).toMatchObject({ code: "signature_invalid" });
    expect(errors[1]).toEqual(errors[0]);
  });

  test("works with an SSH key and ssh-keygen", async () => {
    const dir = mkdtempSync(join(tmpdir(), "cardea-people-"));
    try {
      execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(dir, "id")]);
      const sshSign = (digest: Digest): string => {
        writeFileSync(join(dir, "m"), digest);
        rmSync(join(dir, "m.sig"), { force: true });
        execFileSync(
          "ssh-keygen",
          ["-Y", "sign", "-q", "-n", "cardea-sign-in@v1", "-f", join(dir, "id"), join(dir, "m")],
          { stdio: "pipe" },
        );
        return readFileSync(join(dir, "m.sig"), "utf8");
      };
      const publicKey = readFileSync(join(dir, "id.pub"), "utf8").trim();
      const { token: invitation } = await createSetupToken(control);
      const { credential } = await enrol(control, {
        invitation,
        credential: { kind: "ssh", publicKey, label: "yubi" },
        signature: sshSign(enrolmentDigest(invitation, { publicKey })),
      });
      const asked = challenge(control, credential);
      const { token } = await signIn(
        control,
        { challenge: asked.nonce, signature: sshSign(challengeDigest(asked)) },
        "::1",
      );
      expect((await actorOf(token)).entry.credentials).toMatchObject([{ kind: "ssh", id: credential }]);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });

  test("takes only Ed25519 keys", async () => {
    const { token: invitation } = await createSetupToken(control);
    const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const text = publicKey.export({ format: "der", type: "spki" }).toString("base64");
    const offered = { kind: "ssh" as const, publicKey: `ecdsa-sha2-nistp256 ${text}`, label: "" };
    expect(await codeOf(enrol(control, { invitation, credential: offered, signature: "" }))).toBe("invalid_request");
  });

  test("ends by signing out", async () => {
    const admin = await firstAdmin();
    const result = await authenticate(control, `Bearer ${admin.token}`, "::1");
    if (!result.ok) throw new Error(result.code);
    await signOut(control, result.value.actor, result.value.token);
    expect(await refusal(admin.token)).toBe("unauthenticated");
  });

  test("a header that is no token is refused without a query", async () => {
    for (const header of [
      undefined,
      "",
      "Bearer",
      "Bearer x",
      "Basic YTpi",
      `Bearer cardea_tok_${"0".repeat(26)}_${"A".repeat(44)}`,
      `Bearer ${"x".repeat(10_000)}`,
    ]) {
      expect(await authenticate(control, header, "::1")).toMatchObject({ ok: false, code: "unauthenticated" });
    }
  });
});

describe("tokens are not what the database says", () => {
  test("one made by SQL is refused", async () => {
    const admin = await firstAdmin();
    const id = newId("token", control.clock, control.random);
    const secret = "A".repeat(43);
    // Whoever holds only the database does not hold the installation's key, so any mac is a guess.
    const guess = keyedHash({ keys: { ...control.keys, installation: new Uint8Array(32) } }, "token", { id });
    await test_.sql(
      "insert into tokens values ($1, $2, 'sign-in', $3, '', '{admin}', now(), now() + interval '1 year', null, $4)",
      [id, admin.actor.subject, admin.credential, guess],
    );
    expect(await refusal(`cardea_${id}_${secret}`)).toBe("unauthenticated");
  });

  test.each([
    ["prolonged", "update tokens set expires_at = expires_at + interval '1 year'"],
    ["widened", "update tokens set permissions = '{admin,auditor,member}'"],
    [
      "given to another subject",
      "update tokens set subject_id = (select subject_id from roster_entries where document like '%\"admin\"%' limit 1)",
    ],
    [
      "turned into a sign-in",
      "update tokens set method = 'sign-in', credential_id = 'crd_00000000000000000000000000' where method = 'api-token'",
    ],
  ])("one %s is refused", async (_what, statement) => {
    const admin = await firstAdmin();
    const alice = await person(admin, { name: "alice" });
    const { secret } = await createToken(
      control,
      alice.actor,
      CreateToken.parse({ label: "ci", permissions: ["member"] }),
    );
    expect(await refusal(secret)).toBe("let in");
    await test_.sql(statement);
    expect(await refusal(secret)).toBe("unauthenticated");
  });

  test("one that was taken away stays away when its row is put back", async () => {
    const admin = await firstAdmin();
    const alice = await person(admin, { name: "alice" });
    const make = () => createToken(control, alice.actor, CreateToken.parse({ label: "ci", permissions: ["member"] }));
    const [revoked, shut, kept] = [await make(), await make(), await make()];
    await test_.sql("create table copies as select * from tokens");
    await revokeToken(control, alice.actor, revoked.id);
    await test_.sql("insert into tokens select * from copies where id = $1", [revoked.id]);
    expect([await refusal(revoked.secret), await refusal(shut.secret)]).toEqual(["unauthenticated", "let in"]);
    expect((await listTokens(control, alice.actor, { limit: 10 })).items.map(({ id }) => id).sort()).toEqual(
      [shut.id, kept.id].sort(),
    );

    // Hidden while its owner is made inactive, and shown again once they are active again.
    for (const active of [false, true])
      await changePerson(control, admin.actor, alice.actor.subject, ChangePerson.parse({ active }));
    await test_.sql("insert into tokens select * from copies on conflict do nothing");
    for (const { secret } of [revoked, shut, kept]) expect(await refusal(secret)).toBe("unauthenticated");
  });

  test("one whose row is hidden can be revoked nevertheless", async () => {
    const admin = await firstAdmin();
    const made = await createToken(control, admin.actor, CreateToken.parse({ label: "ci", permissions: ["member"] }));
    await test_.sql("create table copies as select * from tokens where id = $1", [made.id]);
    await test_.sql("delete from tokens where id = $1", [made.id]);
    await revokeToken(control, admin.actor, made.id);
    await test_.sql("insert into tokens select * from copies");
    expect(await refusal(made.secret)).toBe("unauthenticated");
  });

  test("an unknown and a wrong token get one answer", async () => {
    const { token } = await firstAdmin();
    const wrong = `${token.slice(0, -1)}${token.endsWith("A") ? "B" : "A"}`;
    const unknown = `cardea_${newId("token", control.clock, control.random)}_${"A".repeat(43)}`;
    expect(await authenticate(control, `Bearer ${wrong}`, "::1")).toEqual(
      await authenticate(control, `Bearer ${unknown}`, "::1"),
    );
  });
});

describe("API tokens", () => {
  test("hold a part of the owner's permissions, at most 90 days, and lose what the owner loses", async () => {
    const admin = await firstAdmin();
    const alice = await person(admin, { name: "alice", permissions: ["member", "auditor"] });
    const make = (input: object) => createToken(control, alice.actor, CreateToken.parse({ label: "ci", ...input }));
    expect(await codeOf(make({ permissions: ["admin"] }))).toBe("forbidden");
    expect(await codeOf(make({ permissions: ["member"], lifetime: "91d" }))).toBe("invalid_request");
    expect(await codeOf(make({ permissions: ["member"], lifetime: "soon" }))).toBe("invalid_request");
    const token = await make({ permissions: ["member", "auditor"], lifetime: "90d" });
    expect((await actorOf(token.secret)).permissions).toEqual(["auditor", "member"]);
    await changePerson(control, admin.actor, alice.actor.subject, ChangePerson.parse({ permissions: ["member"] }));
    expect((await actorOf(token.secret)).permissions).toEqual(["member"]);
    clock.advance(90 * 86_400_000);
    expect(await refusal(token.secret)).toBe("sign_in_expired");
  });

  test("make no tokens, invitations or people, and revoke no credentials", async () => {
    const admin = await firstAdmin();
    const { secret } = await createToken(
      control,
      admin.actor,
      CreateToken.parse({ label: "ci", permissions: ["admin"] }),
    );
    const actor = await actorOf(secret);
    const outcomes = await Promise.all([
      codeOf(createToken(control, actor, CreateToken.parse({ label: "more", permissions: ["admin"] }))),
      codeOf(invite(control, actor, admin.actor.subject)),
      codeOf(createPerson(control, actor, CreatePerson.parse({ name: "new" }))),
      codeOf(changePerson(control, actor, admin.actor.subject, ChangePerson.parse({ groups: ["dba"] }))),
      codeOf(revokeCredential(control, actor, admin.actor.subject, admin.credential)),
    ]);
    expect(outcomes).toEqual(outcomes.map(() => "token_forbidden"));
  });

  test("are listed by page without their secrets, and revoked by their owner or an administrator only", async () => {
    const admin = await firstAdmin();
    const [alice, bob] = [await person(admin, { name: "alice" }), await person(admin, { name: "bob" })];
    const made: string[] = [];
    for (const label of ["one", "two", "three"]) {
      clock.advance(1);
      made.push(
        (await createToken(control, alice.actor, CreateToken.parse({ label, permissions: ["member"] }))).secret,
      );
    }
    const first = await listTokens(control, alice.actor, { limit: 2 });
    const rest = await listTokens(control, alice.actor, { limit: 2, cursor: first.next });
    expect([...first.items, ...rest.items].map((token) => token.label)).toEqual(["three", "two", "one"]);
    expect(rest.next).toBeUndefined();
    expect(JSON.stringify(first)).not.toContain(made[2]?.slice(-43));
    const [victim] = first.items;
    if (victim === undefined) throw new Error("no token");
    expect(await codeOf(revokeToken(control, bob.actor, victim.id))).toBe("not_found");
    expect(await codeOf(revokeToken(control, alice.actor, victim.id))).toBe("done");
    expect(await codeOf(revokeToken(control, admin.actor, victim.id))).toBe("not_found");
    expect(await refusal(made[2] ?? "")).toBe("unauthenticated");
  });

  test("are limited: one subject has so many at once, and those that are over do not count", async () => {
    const admin = await firstAdmin();
    const make = () =>
      createToken(control, admin.actor, CreateToken.parse({ label: "", permissions: ["member"], lifetime: "1h" }));
    for (let made = 0; made < maxTokens; made++) await make();
    expect(await codeOf(make())).toBe("conflict");
    clock.advance(3_600_000);
    expect(await codeOf(make())).toBe("done");
    expect((await currentRoster(control)).entry(admin.actor.subject)?.tokens).toHaveLength(1);
  });

  test("are made by an administrator for a workload, never for another human", async () => {
    const admin = await firstAdmin();
    const alice = await person(admin, { name: "alice" });
    const { person: pipeline } = await createPerson(
      control,
      admin.actor,
      CreatePerson.parse({ name: "pipeline", kind: "workload" }),
    );
    const forPipeline = CreateToken.parse({ label: "ci", permissions: ["member"], subject: pipeline.entry.subject });
    expect((await actorOf((await createToken(control, admin.actor, forPipeline)).secret)).name).toBe("pipeline");
    expect(await codeOf(createToken(control, alice.actor, forPipeline))).toBe("not_found");
    expect(
      await codeOf(
        createToken(
          control,
          admin.actor,
          CreateToken.parse({ label: "spy", permissions: ["member"], subject: alice.actor.subject }),
        ),
      ),
    ).toBe("forbidden");
    expect(
      await codeOf(
        createToken(
          control,
          admin.actor,
          CreateToken.parse({ label: "up", permissions: ["admin"], subject: pipeline.entry.subject }),
        ),
      ),
    ).toBe("forbidden");
  });
});

describe("changing people", () => {
  test("counts from the next call: groups, permissions, standing", async () => {
    const admin = await firstAdmin();
    const alice = await person(admin, { name: "alice", groups: ["engineering"] });
    await changePerson(
      control,
      admin.actor,
      alice.actor.subject,
      ChangePerson.parse({ groups: ["dba", "dba", "engineering"] }),
    );
    expect((await actorOf(alice.token)).entry.groups).toEqual(["dba", "engineering"]);
    await changePerson(control, admin.actor, alice.actor.subject, ChangePerson.parse({ active: false }));
    expect(await refusal(alice.token)).toBe("unauthenticated");
    await changePerson(control, admin.actor, alice.actor.subject, ChangePerson.parse({ active: true }));
    expect(await refusal(alice.token)).toBe("unauthenticated");
    const again = challenge(control, alice.credential);
    expect(
      await codeOf(
        signIn(control, { challenge: again.nonce, signature: sign(alice.seed, challengeDigest(again)) }, "::1"),
      ),
    ).toBe("done");
  });

  test("somebody inactive who proves their key is told so, and gets nothing", async () => {
    const admin = await firstAdmin();
    const alice = await person(admin, { name: "alice" });
    await changePerson(control, admin.actor, alice.actor.subject, ChangePerson.parse({ active: false }));
    const asked = challenge(control, alice.credential);
    expect(
      await codeOf(
        signIn(control, { challenge: asked.nonce, signature: sign(alice.seed, challengeDigest(asked)) }, "::1"),
      ),
    ).toBe("subject_inactive");
    expect(await codeOf(invite(control, admin.actor, alice.actor.subject))).toBe("subject_inactive");
  });

  test("a credential taken away ends its sign-ins and signs in no more", async () => {
    const admin = await firstAdmin();
    const alice = await person(admin, { name: "alice" });
    expect(
      await codeOf(
        revokeCredential(control, (await person(admin, { name: "bob" })).actor, alice.actor.subject, alice.credential),
      ),
    ).toBe("not_found");
    await revokeCredential(control, alice.actor, alice.actor.subject, alice.credential);
    expect(await refusal(alice.token)).toBe("unauthenticated");
    const asked = challenge(control, alice.credential);
    expect(
      await codeOf(
        signIn(control, { challenge: asked.nonce, signature: sign(alice.seed, challengeDigest(asked)) }, "::1"),
      ),
    ).toBe("signature_invalid");
  });

  test("a credential taken away stays away when the rows of its sign-ins are put back by SQL", async () => {
    const admin = await firstAdmin();
    const alice = await person(admin, { name: "alice" });
    await test_.sql("create table old_tokens as table tokens");
    await revokeCredential(control, admin.actor, alice.actor.subject, alice.credential);
    await test_.sql("insert into tokens select * from old_tokens where credential_id = $1", [alice.credential]);
    expect(await refusal(alice.token)).toBe("unauthenticated");
  });

  test("never leaves nobody who can administer", async () => {
    const admin = await firstAdmin();
    const me = admin.actor.subject;
    expect(await codeOf(changePerson(control, admin.actor, me, ChangePerson.parse({ active: false })))).toBe(
      "conflict",
    );
    expect(await codeOf(changePerson(control, admin.actor, me, ChangePerson.parse({ permissions: ["member"] })))).toBe(
      "conflict",
    );
    expect(await codeOf(revokeCredential(control, admin.actor, me, admin.credential))).toBe("conflict");
    await person(admin, { name: "second", permissions: ["admin"] });
    expect(await codeOf(changePerson(control, admin.actor, me, ChangePerson.parse({ permissions: ["member"] })))).toBe(
      "done",
    );
    expect(
      await codeOf(
        changePerson(control, await actorOf(admin.token), me, ChangePerson.parse({ permissions: ["admin"] })),
      ),
    ).toBe("forbidden");
  });

  test("keeps names and linked identities one subject's", async () => {
    const admin = await firstAdmin();
    const [alice, bob] = [await person(admin, { name: "alice" }), await person(admin, { name: "bob" })];
    expect(await codeOf(createPerson(control, admin.actor, CreatePerson.parse({ name: "alice" })))).toBe("conflict");
    const identity = { issuer: "https://idp.example", subject: "u-1" };
    const linked = await changePerson(
      control,
      admin.actor,
      alice.actor.subject,
      ChangePerson.parse({ identities: [identity, identity] }),
    );
    expect(linked.identities).toEqual([identity]);
    expect(
      await codeOf(
        changePerson(control, admin.actor, bob.actor.subject, ChangePerson.parse({ identities: [identity] })),
      ),
    ).toBe("conflict");
    await test_.sql("update subject_identities set subject_id = $1", [bob.actor.subject]);
    expect((await showPerson(control, admin.actor, bob.actor.subject)).identities).toEqual([]);
  });

  test("agents act for somebody, hold no powers, and stand and fall with whom they act for", async () => {
    const admin = await firstAdmin();
    const alice = await person(admin, { name: "alice" });
    const agent = (input: object) =>
      createPerson(control, admin.actor, CreatePerson.parse({ name: "bot", kind: "agent", ...input }));
    expect(await codeOf(agent({}))).toBe("invalid_request");
    expect(await codeOf(agent({ actsFor: newId("subject", control.clock, control.random) }))).toBe("invalid_request");
    expect(await codeOf(agent({ actsFor: alice.actor.subject, permissions: ["member", "admin"] }))).toBe(
      "invalid_request",
    );
    expect(
      await codeOf(
        createPerson(control, admin.actor, CreatePerson.parse({ name: "human", actsFor: alice.actor.subject })),
      ),
    ).toBe("invalid_request");
    const { person: bot, invitation } = await agent({ actsFor: alice.actor.subject });
    expect(invitation).toBeUndefined();
    const { secret } = await createToken(
      control,
      admin.actor,
      CreateToken.parse({ label: "bot", permissions: ["member"], subject: bot.entry.subject }),
    );
    expect(await refusal(secret)).toBe("let in");
    await changePerson(control, admin.actor, alice.actor.subject, ChangePerson.parse({ active: false }));
    expect(await refusal(secret)).toBe("subject_inactive");
  });

  test("is for administrators, and tells all of them", async () => {
    const admin = await firstAdmin();
    const second = await person(admin, { name: "second", permissions: ["admin"] });
    const alice = await person(admin, { name: "alice" });
    expect(
      await codeOf(changePerson(control, alice.actor, alice.actor.subject, ChangePerson.parse({ groups: ["dba"] }))),
    ).toBe("forbidden");
    expect(await codeOf(createPerson(control, alice.actor, CreatePerson.parse({ name: "x" })))).toBe("forbidden");
    expect(await codeOf(listPeople(control, alice.actor, { limit: 10 }))).toBe("forbidden");
    expect(await codeOf(showPerson(control, alice.actor, second.actor.subject))).toBe("not_found");
    expect((await showPerson(control, alice.actor, alice.actor.subject)).entry.name).toBe("alice");
    await changePerson(control, admin.actor, alice.actor.subject, ChangePerson.parse({ groups: ["dba"] }));
    const [told] = await test_.sql("select recipients, words from notifications where type = 'subject.changed'");
    expect(told).toEqual({
      recipients: [admin.actor.subject, second.actor.subject].toSorted(),
      words: "admin changed alice: group dba added",
    });
    expect((await auditTypes()).at(-1)).toBe("subject.changed");
  });

  test("at once, all changes hold", async () => {
    const admin = await firstAdmin();
    const names = Array.from({ length: 8 }, (_, index) => `p${index}`);
    await Promise.all(
      names.map((name) => createPerson(control, admin.actor, CreatePerson.parse({ name, groups: ["crowd"] }))),
    );
    const roster = await currentRoster(control);
    expect(
      roster
        .entries()
        .filter((entry) => entry.groups.includes("crowd"))
        .map((entry) => entry.name)
        .toSorted(),
    ).toEqual(names);
    const page = await listPeople(control, admin.actor, { limit: 5 });
    const rest = await listPeople(control, admin.actor, { limit: 5, cursor: page.next });
    expect(page.items.length + rest.items.length).toBe(9);
  });
});

describe("the roster", () => {
  test("is signed, and proves each entry", async () => {
    const admin = await firstAdmin();
    const roster = await currentRoster(control);
    expect(roster.head).toMatchObject({ v: 1, version: 3, size: 1 });
    expect(
      verifyDigest(roster.signature, "control", control.keys.signing.publicKey, digestOf("roster", roster.head)),
    ).toBe(true);
    expect(roster.proof(admin.actor.subject)).toMatchObject({ index: 0, path: [] });
  });

  const tamperings: [string, string][] = [
    ["a group added", `update roster_entries set document = replace(document, '"groups":[]', '"groups":["dba"]')`],
    [
      "a permission added",
      `update roster_entries set document = replace(document, '"permissions":["member"]', '"permissions":["admin","member"]')`,
    ],
    [
      "an entry added",
      `insert into roster_entries select 'sub_00000000000000000000000000', replace(document, subject_id, 'sub_00000000000000000000000000') from roster_entries limit 1`,
    ],
    ["an entry removed", `delete from roster_entries where document like '%"alice"%'`],
    ["an entry that is none", `update roster_entries set document = '{}'`],
    ["another head", `update roster_heads set document = replace(document, '"size":2', '"size":3')`],
    [
      "a head signed by somebody else",
      `update roster_heads set signatures = jsonb_set(signatures, '{0,signature}', to_jsonb(repeat('A', 86)))`,
    ],
    ["no head", `delete from roster_heads`],
    [
      "an older head and no newer one",
      `delete from roster_heads where version = (select max(version) from roster_heads)`,
    ],
    ["a head with a higher number", `update roster_heads set version = version + 10`],
  ];
  test.each(tamperings)("with %s by SQL is refused, after a restart too", async (_what, statement) => {
    const admin = await firstAdmin();
    await person(admin, { name: "alice" });
    await currentRoster(control);
    await test_.sql(statement);
    await using restarted = test_.another();
    expect(await codeOf(currentRoster(restarted.control))).toBe("roster_invalid");
    expect(await codeOf(authenticate(restarted.control, `Bearer ${admin.token}`, "::1"))).toBe("roster_invalid");
  });

  test("restored as a whole from before is refused by the memory outside the database", async () => {
    const admin = await firstAdmin();
    const alice = await person(admin, { name: "alice", groups: ["dba"] });
    await currentRoster(control);
    await test_.sql("create table old_heads as table roster_heads; create table old_entries as table roster_entries");
    await changePerson(control, admin.actor, alice.actor.subject, ChangePerson.parse({ groups: [] }));
    await currentRoster(control);
    await test_.sql(
      "truncate roster_heads, roster_entries; insert into roster_heads table old_heads; insert into roster_entries table old_entries",
    );
    expect(await codeOf(currentRoster(control))).toBe("roster_invalid");
    await using restarted = test_.another();
    expect(await codeOf(currentRoster(restarted.control))).toBe("roster_invalid");
    // Only somebody on the machine itself can make it forget.
    await rm(join(control.settings.logDirectory, "roster"), { recursive: true });
    await using forgetful = test_.another();
    expect(await codeOf(currentRoster(forgetful.control))).toBe("done");
  });

  test("remembers one version, the newest", async () => {
    await firstAdmin();
    const { head } = await currentRoster(control);
    expect(await readdir(join(control.settings.logDirectory, "roster"))).toEqual([
      `head-${String(head.version).padStart(12, "0")}`,
    ]);
  });

  test("changed by another process is seen by the next call", async () => {
    const admin = await firstAdmin();
    const alice = await person(admin, { name: "alice" });
    await using other = test_.another();
    await changePerson(
      other.control,
      await actorOf(admin.token, other.control),
      alice.actor.subject,
      ChangePerson.parse({ groups: ["dba"] }),
    );
    expect((await actorOf(alice.token)).entry.groups).toEqual(["dba"]);
  });

  test("an inactive subject's rows do nothing: identities and entries of strangers are not subjects", async () => {
    const roster = await currentRoster(control);
    expect(roster.entry("sub_00000000000000000000000000" as SubjectId)).toBeUndefined();
    expect(roster.byName("nobody")).toBeUndefined();
  });
});
