/** Being somebody else, or more than one is. */
import { challengeDigest } from "@cardea/core/wire/api/sign-in";
import { deviceKey, enrolKey } from "@cardea/sdk/device-key";
import { systemRandom } from "@cardea/server/processes/system";
import { fileRequest, readWish } from "@cardea/testing/key-in-hand";
import { attackPolicy } from "../policy.ts";
import { outcomeOf, sure, type AttackList } from "../attempt.ts";
import type { Ground } from "../ground.ts";

function strangerKey() {
  return deviceKey(systemRandom.bytes(32));
}

async function applyAs(ground: Ground, client: ReturnType<Ground["with"]>): Promise<string> {
  const { policy } = await ground.ada.policy();
  return outcomeOf(client.applyPolicy(attackPolicy, policy.version));
}

export const identity: AttackList = {
  title: "identity, tokens and permissions",
  attacks: [
    {
      tries: "a signed challenge is answered a second time",
      meets: "challenge_invalid",
      run: async (ground) => {
        const { credential, sign } = await ground.newcomer("erin");
        const challenge = await ground.anonymous().challenge(credential);
        const signature = await sign(challengeDigest(challenge));
        await ground.anonymous().signIn(challenge.nonce, signature);
        return outcomeOf(ground.anonymous().signIn(challenge.nonce, signature));
      },
    },
    {
      tries: "the same answer, eight times in the same moment, gives one sign-in",
      meets: "1 sign-in",
      run: async (ground) => {
        const { credential, sign } = await ground.newcomer("erin");
        const challenge = await ground.anonymous().challenge(credential);
        const signature = await sign(challengeDigest(challenge));
        const outcomes = await Promise.all(
          Array.from({ length: 8 }, () => outcomeOf(ground.anonymous().signIn(challenge.nonce, signature))),
        );
        return `${String(outcomes.filter((outcome) => outcome === "accepted").length)} sign-in`;
      },
    },
    {
      tries: "another key signs the challenge",
      meets: "signature_invalid",
      run: async (ground) => {
        const { credential } = await ground.newcomer("erin");
        const challenge = await ground.anonymous().challenge(credential);
        return outcomeOf(
          ground.anonymous().signIn(challenge.nonce, await strangerKey().sign(challengeDigest(challenge))),
        );
      },
    },
    {
      tries: "a signature made for another site",
      meets: "signature_invalid",
      run: async (ground) => {
        const { credential, sign } = await ground.newcomer("erin");
        const challenge = await ground.anonymous().challenge(credential);
        return outcomeOf(
          ground
            .anonymous()
            .signIn(
              challenge.nonce,
              await sign(challengeDigest({ ...challenge, origin: "https://elsewhere.example" })),
            ),
        );
      },
    },
    {
      tries: "a challenge of one's own making",
      meets: "challenge_invalid",
      run: async (ground) => {
        const { credential, sign } = await ground.newcomer("erin");
        const challenge = await ground.anonymous().challenge(credential);
        const other = await ground
          .anonymous()
          .challenge(
            sure(
              (await ground.ada.people({ limit: 200 })).items.find(({ entry }) => entry.name === "ada")?.entry
                .credentials[0],
              "credential",
            ).id,
          );
        const mixed = [...other.nonce.split(".").slice(0, -1), challenge.nonce.split(".").at(-1)].join(".");
        return outcomeOf(ground.anonymous().signIn(mixed, await sign(challengeDigest({ ...other, nonce: mixed }))));
      },
    },
    { tries: "no token", meets: "unauthenticated", run: (ground) => outcomeOf(ground.anonymous().whoAmI()) },
    {
      tries: "a token that looks like one",
      meets: "unauthenticated",
      run: (ground) => outcomeOf(ground.with(`cardea_tok_${"0".repeat(26)}_${"A".repeat(43)}`).whoAmI()),
    },
    {
      tries: "headers by which proxies say who somebody is",
      meets: "unauthenticated",
      run: async (ground) => {
        const ada = await ground.subject("ada");
        const headers = {
          "x-forwarded-user": "ada",
          "x-remote-user": "ada",
          "x-cardea-subject": ada,
          "x-forwarded-email": "ada@example.com",
        };
        return (await ground.raw("/v1/whoami", { headers })).code ?? "accepted";
      },
    },
    {
      tries: "a token in the URL",
      meets: "unauthenticated",
      run: async (ground) => {
        const { secret } = await ground.ada.createToken({ label: "url", permissions: ["member"] });
        return (await ground.raw(`/v1/whoami?access_token=${secret}`)).code ?? "accepted";
      },
    },
    {
      tries: "a token after it was revoked",
      meets: "unauthenticated",
      run: async (ground) => {
        const { id, secret } = await ground.bob.createToken({ label: "gone", permissions: ["member"] });
        await ground.bob.revokeToken(id);
        return outcomeOf(ground.with(secret).whoAmI());
      },
    },
    {
      tries: "a sign-in after signing out",
      meets: "unauthenticated",
      run: async (ground) => {
        const { credential, sign } = await ground.newcomer("erin");
        const challenge = await ground.anonymous().challenge(credential);
        const client = ground.with(
          (await ground.anonymous().signIn(challenge.nonce, await sign(challengeDigest(challenge)))).token,
        );
        await client.signOut();
        return outcomeOf(client.whoAmI());
      },
    },
    {
      tries: "a sign-in by a credential that was taken away",
      meets: "unauthenticated",
      run: async (ground) => {
        const guest = await ground.join({ name: "guest", groups: [] });
        await ground.ada.revokeCredential(guest.subject, guest.credential);
        return outcomeOf(guest.client.whoAmI());
      },
    },
    {
      tries: "somebody else's token is revoked",
      meets: "not_found",
      run: async (ground) =>
        outcomeOf(
          (await ground.newcomer("erin")).client.revokeToken(
            (await ground.bob.createToken({ label: "mine", permissions: ["member"] })).id,
          ),
        ),
    },
    {
      tries: "an administrator's token with the permission `member` applies a policy",
      meets: "forbidden",
      run: async (ground) =>
        applyAs(
          ground,
          ground.with((await ground.ada.createToken({ label: "small", permissions: ["member"] })).secret),
        ),
    },
    {
      tries: "a member applies a policy",
      meets: "forbidden",
      run: async (ground) => applyAs(ground, (await ground.newcomer("erin")).client),
    },
    {
      tries: "a member makes a token that administers",
      meets: "forbidden",
      run: async (ground) =>
        outcomeOf((await ground.newcomer("erin")).client.createToken({ label: "more", permissions: ["admin"] })),
    },
    {
      tries: "an administrator makes a token of another human",
      meets: "forbidden",
      run: async (ground) =>
        outcomeOf(
          ground.ada.createToken({ label: "his", permissions: ["member"], subject: await ground.subject("bob") }),
        ),
    },
    {
      tries: "a token makes a token",
      meets: "token_forbidden",
      run: async (ground) =>
        outcomeOf(
          ground
            .with((await ground.ada.createToken({ label: "first", permissions: ["admin", "member"] })).secret)
            .createToken({ label: "second", permissions: ["member"] }),
        ),
    },
    {
      tries: "an administrator's token adds a person",
      meets: "token_forbidden",
      run: async (ground) =>
        outcomeOf(
          ground
            .with((await ground.ada.createToken({ label: "adds", permissions: ["admin"] })).secret)
            .createPerson({ name: "planted" }),
        ),
    },
    {
      tries: "a token for ever",
      meets: "invalid_request",
      run: (ground) => outcomeOf(ground.bob.createToken({ label: "long", permissions: ["member"], lifetime: "1000d" })),
    },
    {
      tries: "a member puts themselves into the approvers' group",
      meets: "forbidden",
      run: async (ground) =>
        outcomeOf(
          (await ground.newcomer("erin")).client.changePerson((await ground.newcomer("erin")).subject, {
            groups: ["dba"],
          }),
        ),
    },
    {
      tries: "a member reads who everybody is",
      meets: "forbidden",
      run: async (ground) => outcomeOf((await ground.newcomer("erin")).client.people()),
    },
    {
      tries: "a member invites themselves again",
      meets: "forbidden",
      run: async (ground) =>
        outcomeOf((await ground.newcomer("erin")).client.invite((await ground.newcomer("erin")).subject)),
    },
    {
      tries: "an agent that administers",
      meets: "invalid_request",
      run: async (ground) =>
        outcomeOf(
          ground.ada.createPerson({
            name: "boss",
            kind: "agent",
            actsFor: await ground.subject("ada"),
            permissions: ["admin"],
          }),
        ),
    },
    {
      tries: "an agent that acts for nobody",
      meets: "invalid_request",
      run: (ground) => outcomeOf(ground.ada.createPerson({ name: "nobody", kind: "agent" })),
    },
    {
      tries: "an invitation is spent twice",
      meets: "invitation_invalid",
      run: async (ground) => {
        const { invitation } = sure((await ground.ada.createPerson({ name: "twice" })).invitation, "invitation");
        const [first, second] = [strangerKey(), strangerKey()];
        await enrolKey(ground.anonymous(), invitation, { kind: "device", publicKey: first.publicKey }, first.sign);
        return outcomeOf(
          enrolKey(ground.anonymous(), invitation, { kind: "device", publicKey: second.publicKey }, second.sign),
        );
      },
    },
    {
      tries: "an invitation is spent twice in the same moment",
      meets: "accepted invitation_invalid",
      run: async (ground) => {
        const { invitation } = sure((await ground.ada.createPerson({ name: "twin" })).invitation, "invitation");
        const enrol = (): Promise<string> => {
          const { publicKey, sign } = strangerKey();
          return outcomeOf(enrolKey(ground.anonymous(), invitation, { kind: "device", publicKey }, sign));
        };
        return (await Promise.all([enrol(), enrol()])).sort().join(" ");
      },
    },
    {
      tries: "a key is enrolled whose private half the sender does not have",
      meets: "signature_invalid",
      run: async (ground) => {
        const { invitation } = sure((await ground.ada.createPerson({ name: "borrowed" })).invitation, "invitation");
        return outcomeOf(
          enrolKey(
            ground.anonymous(),
            invitation,
            { kind: "device", publicKey: strangerKey().publicKey },
            strangerKey().sign,
          ),
        );
      },
    },
    {
      tries: "an invitation is guessed",
      meets: "invitation_invalid",
      run: (ground) => {
        const { publicKey, sign } = strangerKey();
        return outcomeOf(
          enrolKey(ground.anonymous(), `cardea-invite-${"A".repeat(43)}`, { kind: "device", publicKey }, sign),
        );
      },
    },
    {
      tries: "a request in somebody else's name",
      meets: "invalid_request",
      run: async (ground) => {
        const { client } = await ground.newcomer("erin");
        const body = {
          resource: "sample-shop",
          ...readWish(),
          requester: { id: await ground.subject("alice"), kind: "human" },
        };
        return outcomeOf(client.submit(body));
      },
    },
    {
      tries: "a request of somebody without any group",
      meets: "policy_denied",
      run: async (ground) => outcomeOf(fileRequest((await ground.newcomer("mallory")).client, readWish())),
    },
    {
      tries: "facts that rules ask for, asserted by the client",
      meets: "policy_denied",
      run: async (ground) =>
        outcomeOf(
          fileRequest((await ground.newcomer("olga")).client, {
            ...readWish(),
            asserted: { onCall: true, sourceIp: "10.1.2.3", groups: ["engineering"] },
          }),
        ),
    },
    {
      tries: "an address that a rule asks for, in the header of a proxy that nobody trusts",
      meets: "policy_denied",
      run: async (ground) => {
        const secret = (
          await (await ground.newcomer("olga")).client.createToken({ label: "raw", permissions: ["member"] })
        ).secret;
        const { delivery } = await ground.pending("ONE");
        const body = JSON.stringify({
          resource: "sample-shop",
          ...readWish(),
          via: "direct",
          deliverTo: delivery.publicKey,
        });
        const headers = {
          authorization: `Bearer ${secret}`,
          "content-type": "application/json",
          "x-forwarded-for": "10.1.2.3",
          "x-real-ip": "10.1.2.3",
          forwarded: "for=10.1.2.3",
        };
        return (await ground.raw("/v1/requests", { method: "POST", headers, body })).code ?? "accepted";
      },
    },
    {
      tries: "a rule whose condition cannot be evaluated lets one pass",
      meets: "policy_denied",
      run: async (ground) =>
        outcomeOf(fileRequest((await ground.newcomer("olga")).client, { ...readWish(), ticket: "CLEARED" })),
    },
  ],
};
