import type { z } from "zod";
import type { Page, PageQuery } from "@cardea/core/wire/api/conventions";
import type { EnrolmentToken, OutpostView } from "@cardea/core/wire/api/operations";
import { controlKeyHash, formatEnrolmentToken } from "@cardea/core/wire/enrolment";
import { CardeaError } from "@cardea/core/contract/errors";
import { newId } from "@cardea/core/contract/ids";
import { Name, toTime } from "@cardea/core/documents/primitives";
import { toBase64Url } from "@cardea/core/lib/base64url";
import type { Actor, Control, Tx } from "../control.ts";
import { record } from "../audit/record.ts";
import { enrolmentSecret } from "../link/enrol.ts";
import { isConnected } from "./connected.ts";
import { demand, demandSignIn } from "../people/demand.ts";
import { rosterIn, type RosterView } from "../people/roster.ts";
import { insertEnrolmentToken, manyOutposts, type StoredOutpost } from "../store/outposts.ts";
import { transact } from "../store/transaction.ts";

const tokenLifetimeMs = 15 * 60_000;
const defaultName = "outpost";

/** `GET /v1/outposts`, by name. @throws CardeaError `forbidden` */
export async function listOutposts(
  control: Control,
  actor: Actor,
  query: z.output<typeof PageQuery>,
): Promise<Page<OutpostView>> {
  demand(actor, "admin", "auditor");
  const found = await manyOutposts(control.db, control.keys, query.cursor, query.limit + 1);
  const shown = found.slice(0, query.limit);
  const next = found.length > shown.length ? shown.at(-1)?.enrolment.name : undefined;
  return { items: shown.map((outpost) => view(outpost, control.clock.now())), ...(next !== undefined && { next }) };
}

function view(outpost: StoredOutpost, nowMs: number): OutpostView {
  const { id, name, identityKey, sealKey, enrolledAt } = outpost.enrolment;
  return {
    id,
    name,
    identityKey,
    sealKey,
    enrolledAt,
    connected: isConnected(outpost, nowMs),
    ...(outpost.lastSeenAt !== undefined && { lastSeenAt: outpost.lastSeenAt }),
    ...(outpost.leases !== undefined && { leases: outpost.leases }),
  };
}

/**
 * `POST /v1/outposts/enrolments`. A name that an outpost has already is for rebuilding it: who enrols with the token replaces that outpost
 * and takes its resources over. Without a name a free one is chosen. Of several tokens for a name the first enrolment spends all. @throws CardeaError `forbidden`, `token_forbidden`, `invalid_request`
 */
export async function createEnrolmentToken(
  control: Control,
  actor: Actor,
  input: { readonly name?: string | undefined } = {},
): Promise<z.infer<typeof EnrolmentToken>> {
  demand(actor, "admin");
  demandSignIn(actor);
  return await transact(control, (tx) => makeEnrolmentToken(tx, control, actor, input.name));
}

async function makeEnrolmentToken(
  tx: Tx,
  control: Control,
  actor: Actor,
  wanted: string | undefined,
): Promise<z.infer<typeof EnrolmentToken>> {
  const roster = await rosterIn(tx, control);
  const name = Name.safeParse(wanted ?? freeName(roster));
  if (!name.success)
    throw new CardeaError("invalid_request", `\`${wanted ?? ""}\` is not a name for an outpost`, {
      pointers: [{ path: "name", message: "not a name" }],
    });
  const now = control.clock.now();
  const id = newId("token", control.clock, control.random);
  const [createdAt, expiresAt] = [toTime(now), toTime(now + tokenLifetimeMs)];
  await insertEnrolmentToken(tx, { id, name: name.data, createdBy: actor.subject, createdAt, expiresAt });
  await record(tx, control, {
    type: "outpost.invited",
    ids: { token: id },
    data: { name: name.data, expiresAt },
    actor: actor.subject,
  });
  const replaces = roster.outpost(name.data);
  const token = formatEnrolmentToken({
    v: 1,
    url: linkUrl(control.settings.publicUrl),
    controlKeyHash: controlKeyHash(control.keys.signing.publicKey),
    id,
    name: name.data,
    expiresAt,
    secret: toBase64Url(enrolmentSecret(control.keys, { token: id, name: name.data, expiresAt, replaces })),
  });
  return { token, expiresAt };
}

function freeName(roster: RosterView): string {
  for (let count = 1; ; count++) {
    const name = count === 1 ? defaultName : `${defaultName}-${String(count)}`;
    if (roster.outpost(name) === undefined) return name;
  }
}

/** Where outposts dial, next to the API. */
function linkUrl(publicUrl: string): string {
  const url = new URL("/v1/link", publicUrl);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}
