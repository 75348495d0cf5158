import type { z } from "zod";
import type { Page, PageQuery } from "@cardea/core/wire/api/conventions";
import type { CreatedToken, CreateToken, TokenView } from "@cardea/core/wire/api/people";
import { CardeaError } from "@cardea/core/contract/errors";
import type { SubjectId, TokenId } from "@cardea/core/contract/ids";
import { toTime } from "@cardea/core/documents/primitives";
import type { RosterEntry } from "@cardea/core/documents/roster";
import { formatDuration, parseDuration } from "@cardea/core/lib/duration";
import { record } from "../audit/record.ts";
import type { Actor, Control, Tx } from "../control.ts";
import { deleteToken, manyTokens, type TokenRow } from "../store/people.ts";
import { transact } from "../store/transaction.ts";
import { sortedSet } from "./add-subject.ts";
import { permissionsOf } from "./authenticate.ts";
import { makeToken } from "./bearer.ts";
import { changeRoster, tellAdmins } from "./change-roster.ts";
import { demandSignIn } from "./demand.ts";
import { currentRoster, rosterIn } from "./roster.ts";

const maxLifetimeMs = 90 * 86_400_000;
/** Good ones of one subject, as many as its roster entry has room for. */
export const maxTokens = 50;

/**
 * Makes an API token with a part of its owner's permissions; the owner is oneself or, for administrators, a workload or agent. It never
 * votes, signs or enrols. The secret is in the answer and nowhere else. The token is good while the signed roster names it, like a credential:
 * a row that is put back by hand is none.
 * @throws CardeaError `token_forbidden`, `forbidden`, `not_found`, `invalid_request`, `subject_inactive`; `conflict` beyond 50
 */
export async function createToken(
  control: Control,
  actor: Actor,
  input: z.output<typeof CreateToken>,
): Promise<z.infer<typeof CreatedToken>> {
  demandSignIn(actor);
  const lifetimeMs = lifetimeOf(input.lifetime);
  return transact(control, async (tx) => {
    const owner = await ownerOf(tx, control, actor, input.subject);
    const held = owner.subject === actor.subject ? actor.permissions : owner.permissions;
    const missing = input.permissions.filter((permission) => !held.includes(permission));
    if (missing.length > 0)
      throw new CardeaError(
        "forbidden",
        `${owner.name} has no permission ${missing.map((one) => `\`${one}\``).join(", ")} to give to a token`,
      );
    const permissions = sortedSet(input.permissions);
    const made = await makeToken(tx, control, {
      subject: owner.subject,
      method: "api-token",
      label: input.label,
      permissions,
      lifetimeMs,
    });
    await changeRoster(tx, control, async (view) => [await withToken(tx, control, view.entry(owner.subject), made.id)]);
    await record(tx, control, {
      type: "token.created",
      ids: { subject: owner.subject, token: made.id },
      data: { label: input.label, permissions, expiresAt: made.expiresAt },
      actor: actor.subject,
    });
    await tellAdmins(
      tx,
      control,
      "token.created",
      `${actor.name} made an API token for ${owner.name} with ${permissions.join(", ")}, good for ${formatDuration(lifetimeMs)}`,
    );
    return {
      id: made.id,
      label: input.label,
      permissions,
      createdAt: made.createdAt,
      expiresAt: made.expiresAt,
      secret: made.text,
    };
  });
}

/** The entry with a token more, and without those that are over. */
async function withToken(
  tx: Tx,
  control: Control,
  entry: RosterEntry | undefined,
  made: TokenId,
): Promise<RosterEntry> {
  if (entry?.active !== true) throw new CardeaError("subject_inactive", "the token's owner is not active any more");
  const rows = await manyTokens(tx, entry.subject, { limit: 1_000, now: toTime(control.clock.now()) });
  const good = (entry.tokens ?? []).filter((id) => rows.some((row) => row.id === id));
  if (good.length >= maxTokens)
    throw new CardeaError(
      "conflict",
      `${entry.name} has ${maxTokens} API tokens; take one away with \`cardea tokens revoke\``,
    );
  return { ...entry, tokens: [...good, made] };
}

/** One's own API tokens, newest first. */
export async function listTokens(
  control: Control,
  actor: Actor,
  query: z.output<typeof PageQuery>,
): Promise<Page<TokenView>> {
  const tokens = (await currentRoster(control)).entry(actor.subject)?.tokens ?? [];
  const rows = await manyTokens(control.db, actor.subject, {
    before: query.cursor,
    limit: query.limit + 1,
    now: toTime(control.clock.now()),
  });
  const shown = rows.slice(0, query.limit);
  const good = shown.filter((row) => tokens.includes(row.id));
  const next = rows.length > shown.length ? shown.at(-1)?.id : undefined;
  return { items: good.map(viewOf), ...(next !== undefined && { next }) };
}

/** Takes a token away: one's own, or for administrators anybody's. @throws CardeaError `not_found` */
export async function revokeToken(control: Control, actor: Actor, id: TokenId): Promise<void> {
  await transact(control, async (tx) => {
    const revoked: { from?: SubjectId } = {};
    await changeRoster(tx, control, (view) => {
      const owner = view.entries().find((entry) => entry.tokens?.includes(id) === true);
      if (owner === undefined || (owner.subject !== actor.subject && !actor.permissions.includes("admin")))
        throw new CardeaError("not_found", `there is no token \`${id}\`, or you may not see it`);
      revoked.from = owner.subject;
      return [{ ...owner, tokens: owner.tokens?.filter((other) => other !== id) ?? [] }];
    });
    if (revoked.from === undefined) throw new TypeError("the roster was changed without an entry");
    await deleteToken(tx, id);
    await record(tx, control, {
      type: "token.revoked",
      ids: { subject: revoked.from, token: id },
      data: {},
      actor: actor.subject,
    });
  });
}

async function ownerOf(tx: Tx, control: Control, actor: Actor, subject: CreateTokenSubject): Promise<RosterEntry> {
  if (subject === undefined || subject === actor.subject) return actor.entry;
  const entry = actor.permissions.includes("admin") ? (await rosterIn(tx, control)).entry(subject) : undefined;
  if (entry === undefined)
    throw new CardeaError("not_found", `there is no subject \`${subject}\`, or you may not make tokens for it`);
  if (entry.kind === "human")
    throw new CardeaError(
      "forbidden",
      "a human's tokens are made by that human; an administrator makes them for workloads and agents",
    );
  if (!entry.active) throw new CardeaError("subject_inactive", `\`${entry.name}\` is not active`);
  return entry;
}
type CreateTokenSubject = z.output<typeof CreateToken>["subject"];

function lifetimeOf(text: string): number {
  const parsed = parseDuration(text);
  const problem = !parsed.ok
    ? parsed.detail
    : parsed.value > maxLifetimeMs
      ? `\`${text}\` is longer than \`90d\``
      : undefined;
  if (!parsed.ok || problem !== undefined) {
    throw new CardeaError("invalid_request", problem ?? "not a duration", {
      pointers: [{ path: "lifetime", message: problem ?? "not a duration" }],
    });
  }
  return parsed.value;
}

function viewOf(row: TokenRow): TokenView {
  return {
    id: row.id,
    label: row.label,
    permissions: permissionsOf(row),
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    ...(row.last_used_at !== null && { lastUsedAt: row.last_used_at }),
  };
}
