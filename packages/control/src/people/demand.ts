import type { Permission } from "@cardea/core/wire/api/people";
import { CardeaError } from "@cardea/core/contract/errors";
import type { Actor } from "../control.ts";

/** @throws CardeaError `forbidden` unless the caller has one of the permissions. */
export function demand(actor: Actor, ...anyOf: readonly Permission[]): void {
  if (anyOf.some((permission) => actor.permissions.includes(permission))) return;
  throw new CardeaError(
    "forbidden",
    `this needs the permission ${anyOf.map((permission) => `\`${permission}\``).join(" or ")}; ask an administrator`,
  );
}

/** @throws CardeaError `token_forbidden` for a caller who shows an API token. */
export function demandSignIn(actor: Actor): void {
  if (actor.presence.method === "sign-in") return;
  throw new CardeaError("token_forbidden", "API tokens never vote, sign or enrol; sign in with `cardea login`");
}
