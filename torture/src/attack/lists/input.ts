/** What is malformed, oversized, hostile or out of all bounds. */
import { get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { streamEvents } from "@cardea/sdk/events";
import { fileRequest, readWish, sampleResource } from "@cardea/testing/key-in-hand";
import { toTime } from "@cardea/core/documents/primitives";
import { outcomeOf, sure, type Attack, type AttackList } from "../attempt.ts";
import type { Ground } from "../ground.ts";

/** A raw body to `/v1/requests`, by erin. */
async function post(ground: Ground, body: string, type = "application/json"): Promise<string> {
  const secret = await erinsToken(ground);
  return (
    (
      await ground.raw("/v1/requests", {
        method: "POST",
        headers: { authorization: `Bearer ${secret}`, "content-type": type },
        body,
      })
    ).code ?? "accepted"
  );
}

const tokens = new WeakMap<Ground, Promise<string>>();

function erinsToken(ground: Ground): Promise<string> {
  let token = tokens.get(ground);
  if (token === undefined) {
    token = ground
      .newcomer("erin")
      .then(async ({ client }) => (await client.createToken({ label: "raw", permissions: ["member"] })).secret);
    tokens.set(ground, token);
  }
  return token;
}

/** A path as it stands: `fetch` would tidy it. */
function rawPath(ground: Ground, path: string): Promise<string> {
  const { hostname, port } = new URL(ground.url);
  return new Promise((resolve, reject) => {
    get({ hostname, port, path }, (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (part: string) => (text += part));
      answer.on("end", () => {
        const code = /"code":"([a-z_]+)"/.exec(text)?.[1];
        resolve(code ?? `status ${String(answer.statusCode)}`);
      });
    }).once("error", reject);
  });
}

function wish(tries: string, meets: string, changes: object): Attack {
  return {
    tries,
    meets,
    run: async (ground) =>
      outcomeOf(fileRequest((await ground.newcomer("erin")).client, { ...readWish(), ...changes })),
  };
}

function traversal(path: string): Attack {
  return { tries: `the path ${path}`, meets: "not_found", run: (ground) => rawPath(ground, path) };
}

function webhook(url: string): Attack {
  return {
    tries: `notifications to ${url}`,
    meets: "invalid_request",
    run: (ground) => outcomeOf(ground.ada.createWebhook({ url })),
  };
}

export const input: AttackList = {
  title: "input",
  attacks: [
    wish("a duration beyond the rule's", "policy_denied", { window: { duration: "3d" } }),
    wish("a duration of a thousand years", "invalid_request", { window: { duration: "365000d" } }),
    wish("a duration of nothing", "invalid_request", { window: { duration: "0s" } }),
    wish("a negative duration", "invalid_request", { window: { duration: "-5m" } }),
    wish("a start in the past", "start_in_past", {
      window: { start: toTime(Date.now() - 3_600_000), duration: "10m" },
    }),
    wish("a start in the year 2099", "start_too_far", {
      window: { start: "2099-01-01T00:00:00.000Z", duration: "10m" },
    }),
    wish("a start in the year 9999", "invalid_request", {
      window: { start: "9999-01-01T00:00:00.000Z", duration: "10m" },
    }),
    wish("a start on the 30th of February", "invalid_request", {
      window: { start: "2027-02-30T00:00:00.000Z", duration: "10m" },
    }),
    wish("more sessions than the rule allows", "policy_denied", { limits: { sessions: 1_000 } }),
    wish("a role that does not exist", "role_unknown", { ask: { role: "owner" } }),
    wish("a role named after a property of every object", "role_unknown", { ask: { role: "constructor" } }),
    wish("a resource that does not exist", "resource_unknown", { resource: "other-shop" }),
    wish("a resource's name with SQL in it", "invalid_request", { resource: "x'; drop table requests; --" }),
    wish("a single statement where only roles are offered", "invalid_request", {
      ask: { action: { type: "sql", name: "sql.update", what: { statement: "update orders set total = 0" } } },
    }),
    wish("a justification with a control character", "invalid_request", { justification: "looking\u001b[2Jat orders" }),
    wish("a justification that is written backwards", "invalid_request", {
      justification: "looking \u202etheir sredro",
    }),
    wish("a justification with half a character", "invalid_request", { justification: "looking \ud800 at orders" }),
    wish("a justification of 2,001 characters", "invalid_request", { justification: "x".repeat(2_001) }),
    wish("a justification shorter than the rule wants", "policy_denied", { justification: "why" }),
    wish("an emergency where no rule knows one", "policy_denied", { breakGlass: true }),
    wish("extending somebody else's grant", "extends_invalid", { extends: `gra_${"0".repeat(26)}` }),
    {
      tries: "a delivery key that is no point of the curve",
      meets: "delivery_key_invalid",
      run: async (ground) => {
        const body = { resource: sampleResource, ...readWish(), via: "direct", deliverTo: `BA${"A".repeat(85)}` };
        return post(ground, JSON.stringify(body));
      },
    },
    {
      tries: "no delivery key",
      meets: "delivery_key_required",
      run: (ground) => post(ground, JSON.stringify({ resource: sampleResource, ...readWish(), via: "direct" })),
    },
    {
      tries: "a field that does not exist",
      meets: "invalid_request",
      run: (ground) => post(ground, JSON.stringify({ resource: sampleResource, ...readWish(), approved: true })),
    },
    {
      tries: "a field that does not exist, deep inside",
      meets: "invalid_request",
      run: (ground) =>
        post(
          ground,
          JSON.stringify({
            resource: sampleResource,
            ...readWish(),
            window: { duration: "10m", notAfter: "2099-01-01T00:00:00.000Z" },
          }),
        ),
    },
    {
      tries: "another object's prototype",
      meets: "invalid_json",
      run: (ground) => post(ground, `{"resource":"sample-shop","__proto__":{"permissions":["admin"]}}`),
    },
    { tries: "half a body", meets: "invalid_json", run: (ground) => post(ground, `{"resource":"sample-shop"`) },
    { tries: "a body that is a list", meets: "invalid_request", run: (ground) => post(ground, "[]") },
    {
      tries: "a body of two megabytes",
      meets: "too_large",
      run: (ground) => post(ground, JSON.stringify({ justification: "x".repeat(2_000_000) })),
    },
    {
      tries: "a body 100,000 levels deep",
      meets: "too_large",
      run: (ground) => post(ground, "[".repeat(100_000) + "]".repeat(100_000)),
    },
    {
      tries: "asserted facts 50 levels deep",
      meets: "too_large",
      run: (ground) => post(ground, `{"asserted":{"a":${"[".repeat(50)}${"]".repeat(50)}}}`),
    },
    {
      tries: "a body of another type",
      meets: "unsupported_media_type",
      run: (ground) => post(ground, "resource=sample-shop", "application/x-www-form-urlencoded"),
    },
    {
      tries: "XML",
      meets: "unsupported_media_type",
      run: (ground) =>
        post(ground, "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>", "application/xml"),
    },
    {
      tries: "a method that is not offered",
      meets: "method_not_allowed",
      run: async (ground) =>
        (
          await ground.raw("/v1/requests", {
            method: "DELETE",
            headers: { authorization: `Bearer ${await erinsToken(ground)}` },
          })
        ).code ?? "accepted",
    },
    {
      tries: "a cursor with another position in it",
      meets: "invalid_request",
      run: async (ground) => {
        await ground.pending("ONE");
        await ground.pending("ONE");
        const cursor = sure((await ground.ada.requests({ limit: 1 })).next, "cursor");
        const forged = `${Buffer.from(`req_${"z".repeat(26)}`).toString("base64url")}.${cursor.split(".")[1] ?? ""}`;
        return outcomeOf(ground.ada.requests({ cursor: forged }));
      },
    },
    {
      tries: "a cursor of another list",
      meets: "invalid_request",
      run: async (ground) =>
        outcomeOf(ground.ada.grants({ cursor: sure((await ground.ada.requests({ limit: 1 })).next, "cursor") })),
    },
    {
      tries: "a page of a million",
      meets: "invalid_request",
      run: (ground) => outcomeOf(ground.ada.requests({ limit: 1_000_000 })),
    },
    traversal("/v1/log/tile/../../keys/signing"),
    traversal("/v1/log/tile/%2e%2e/%2e%2e/keys/signing"),
    traversal("/v1/log/tile/..%2f..%2f..%2fetc%2fpasswd"),
    traversal("/v1/log/tile/0/x001/../../../checkpoint"),
    traversal("/v1/log/tile/0/000.p/0"),
    traversal("/v1/log/tile/9/000"),
    {
      tries: "the event stream without a sign-in",
      meets: "unauthenticated",
      run: async (ground) => (await ground.raw("/v1/events")).code ?? "accepted",
    },
    {
      tries: "the event stream shows what others do",
      meets: "unseen",
      run: async (ground) => {
        const seen: string[] = [];
        const stop = new AbortController();
        const { client } = await ground.newcomer("mallory");
        const reading = (async () => {
          for await (const event of streamEvents(client.transport, stop.signal, 0))
            seen.push(...Object.values(event.ids));
        })().catch(() => undefined);
        const { view } = await ground.pending("ONE");
        await sleep(1_000);
        stop.abort();
        await reading;
        return seen.includes(view.id) ? "seen" : "unseen";
      },
    },
    {
      tries: "the log's own list shows what others wrote",
      meets: "unseen",
      run: async (ground) => {
        const { client } = await ground.newcomer("mallory");
        const { view } = await ground.pending("ONE");
        const answer = await client.audit({ id: view.id }).catch(() => undefined);
        return answer === undefined || answer.items.every((entry) => entry.data === undefined) ? "unseen" : "seen";
      },
    },
    webhook("http://example.com/hook"),
    webhook("http://169.254.169.254/latest/meta-data"),
    webhook("https://169.254.169.254/latest/meta-data"),
    webhook("https://2852039166/"),
    webhook("https://0xa9fea9fe/"),
    webhook("https://[::ffff:169.254.169.254]/"),
    webhook("https://[fe80::1]/"),
    webhook("https://0.0.0.0/"),
    webhook("https://user:secret@example.com/"),
    webhook("file:///etc/passwd"),
    webhook("gopher://127.0.0.1:5432/"),
    {
      tries: "the 51st waiting request of one person",
      meets: "request_limit",
      run: async (ground) => {
        const { client } = await ground.join({ name: "eager", groups: ["engineering"] });
        const filed = await Promise.all(Array.from({ length: 55 }, () => outcomeOf(ground.pending("ONE", client))));
        return filed.filter((outcome) => outcome === "accepted").length === 50
          ? (filed.find((outcome) => outcome !== "accepted") ?? "accepted")
          : `${String(filed.filter((outcome) => outcome === "accepted").length)} accepted`;
      },
    },
    {
      tries: "a policy with a misspelt restriction",
      meets: "policy_invalid",
      run: (ground) => applyText(ground, (text) => text.replace("minLength", "minLenght")),
    },
    {
      tries: "a policy that says less than it seems: a regular expression without an end",
      meets: "policy_invalid",
      run: (ground) =>
        applyText(ground, (text) =>
          text.replace("require: { justification: { minLength: 5 } }", 'require: { ticket: "^OPS-[0-9" }'),
        ),
    },
    {
      tries: "a policy that demands a signature which nobody checks yet",
      meets: "policy_invalid",
      run: (ground) =>
        applyText(ground, (text) =>
          text.replace("from: { groups: [dba] } }\n", "from: { groups: [dba] }, signed: passkey }\n"),
        ),
    },
    {
      tries: "a policy whose limit nothing would enforce",
      meets: "policy_invalid",
      run: (ground) =>
        applyText(ground, (text) =>
          text.replace("sessions: 3, via: [gateway, direct]", "sourceIps: [10.0.0.0/8], via: [direct]"),
        ),
    },
    {
      tries: "a policy that rests on what clients assert, without saying so",
      meets: "policy_invalid",
      run: (ground) =>
        applyText(ground, (text) =>
          text.replace("has(verified.onCall) && verified.onCall == true", "asserted.onCall == true"),
        ),
    },
    {
      tries: "a policy planned on an older version",
      meets: "policy_stale",
      run: async (ground) => {
        const { source, policy } = await ground.ada.policy();
        return outcomeOf(ground.ada.applyPolicy(source, policy.version - 1));
      },
    },
  ],
};

async function applyText(ground: Ground, change: (text: string) => string): Promise<string> {
  const { source, policy } = await ground.ada.policy();
  const changed = change(source);
  if (changed === source) throw new Error("the policy was not changed");
  const outcome = await outcomeOf(ground.ada.applyPolicy(changed, policy.version));
  // Whatever came of it, the old one must be in force.
  return (await ground.ada.policy()).policy.version === policy.version ? outcome : "applied";
}
