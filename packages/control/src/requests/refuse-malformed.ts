import { createPublicKey } from "node:crypto";
import type { SubmitRequestParsed } from "@cardea/core/wire/api/requests";
import { CardeaError } from "@cardea/core/contract/errors";
import { timeMs } from "@cardea/core/documents/primitives";
import { askedRole } from "@cardea/core/documents/request";
import { fromBase64Url, toBase64Url } from "@cardea/core/lib/base64url";
import type { Actor, Control, Tx } from "../control.ts";
import { originOf } from "../grants/origin.ts";
import { maybeOneGrant } from "../store/grants.ts";
import type { ResourceRow } from "../store/resources.ts";

/** A start this little in the past means now: clocks differ, and people type slowly. */
const startGraceMs = 60_000;
const maxStartAheadMs = 90 * 86_400_000;

/**
 * What no policy could allow. @throws CardeaError `invalid_request`, `role_unknown`, `delivery_key_required`, `delivery_key_invalid`,
 * `start_in_past`, `start_too_far`
 */
export function refuseMalformed(input: SubmitRequestParsed, { spec, name }: ResourceRow, nowMs: number): void {
  const role = "role" in input.ask ? input.ask.role : undefined;
  if (role === undefined && input.extends !== undefined)
    throw new CardeaError("extends_invalid", "an action runs once, so there is nothing to extend");
  if (role !== undefined && !Object.hasOwn(spec.roles, role)) {
    const roles = Object.keys(spec.roles).sort();
    throw new CardeaError(
      "role_unknown",
      `\`${name}\` has no role \`${role}\`; ${roles.length === 0 ? "it has none" : `its roles are ${roles.join(", ")}`}`,
    );
  }
  if (input.deliverTo === undefined && role !== undefined) {
    throw new CardeaError("delivery_key_required", "a key is sealed to its requester: give a delivery key", {
      pointers: [{ path: "deliverTo", message: "required" }],
    });
  }
  if (input.deliverTo !== undefined && !isP256Point(fromBase64Url(input.deliverTo))) {
    throw new CardeaError("delivery_key_invalid", "the delivery key is not an uncompressed point of P-256", {
      pointers: [{ path: "deliverTo", message: "not a P-256 point" }],
    });
  }
  const { start } = input.window;
  if (start === undefined) return;
  if (timeMs(start) < nowMs - startGraceMs)
    throw new CardeaError("start_in_past", `\`${start}\` is in the past; leave the start out to begin at once`);
  if (timeMs(start) > nowMs + maxStartAheadMs)
    throw new CardeaError("start_too_far", `\`${start}\` is more than 90 days away`);
}

/** SEC 1, section 2.3.4: the import fails for what is not on the curve. */
function isP256Point(bytes: Uint8Array): boolean {
  if (bytes.length !== 65 || bytes[0] !== 4) return false;
  try {
    createPublicKey({
      key: { kty: "EC", crv: "P-256", x: toBase64Url(bytes.subarray(1, 33)), y: toBase64Url(bytes.subarray(33)) },
      format: "jwk",
    });
    return true;
  } catch {
    return false;
  }
}

/** @throws CardeaError `extends_invalid` unless it extends nothing, or an active grant of the caller for the same role */
export async function refuseForeignExtension(
  tx: Tx,
  control: Control,
  actor: Actor,
  input: SubmitRequestParsed,
): Promise<void> {
  if (input.extends === undefined) return;
  const grant = await maybeOneGrant(tx, control.keys, { id: input.extends });
  const asked = grant && (await originOf(tx, control, grant)).document.asked;
  const own =
    asked?.requester.id === actor.subject &&
    asked.resource === input.resource &&
    "role" in input.ask &&
    askedRole(asked.ask) === input.ask.role;
  const open = grant?.state === "active" && timeMs(grant.signed.document.window.notAfter) > control.clock.now();
  if (!own || !open) {
    throw new CardeaError(
      "extends_invalid",
      `\`${input.extends}\` is not an active grant of yours for this role on \`${input.resource}\`; ask without extending`,
    );
  }
}
