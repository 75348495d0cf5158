/** What conditions see of one request, in the shapes that `conditions.ts` documents. */
import { timeMs, type Time } from "../documents/primitives.ts";
import type { Asked, Facts } from "../documents/request.ts";
import type { ResourceSpec } from "../documents/resource-spec.ts";
import { durationMs } from "../lib/duration.ts";

/** The variables of one decision, made once and shared by all its conditions. */
export type Variables = Readonly<Record<string, unknown>>;
/** The variables of one request. */
export function variablesOf(asked: Asked, spec: ResourceSpec, facts: Facts, createdAt: Time): Variables {
  const { groups, claims } = facts.verified;
  const limits = asked.limits ?? {};
  return {
    subject: present({
      id: asked.requester.id,
      kind: asked.requester.kind,
      onBehalfOf: asked.requester.onBehalfOf,
      groups,
      claims,
    }),
    resource: { name: spec.name, kind: spec.kind, labels: spec.labels, owners: { groups: spec.owners.groups } },
    request: present({
      role: "role" in asked.ask ? asked.ask.role : undefined,
      action:
        "action" in asked.ask
          ? { type: asked.ask.action.type, name: asked.ask.action.name, what: celValue(asked.ask.action.what) }
          : undefined,
      justification: asked.justification,
      ticket: asked.ticket,
      window: present({
        start: asked.window.start === undefined ? undefined : new Date(timeMs(asked.window.start)),
        durationSeconds: BigInt(Math.floor(durationMs(asked.window.duration) / 1_000)),
      }),
      limits: present({
        sourceIps: limits.sourceIps,
        sessions: limits.sessions === undefined ? undefined : BigInt(limits.sessions),
        uses: limits.uses === undefined ? undefined : BigInt(limits.uses),
      }),
      via: asked.via,
      breakGlass: asked.breakGlass === true,
      extends: asked.extends !== undefined,
      held: asked.within !== undefined,
    }),
    verified: celValue(facts.verified),
    asserted: celValue(facts.asserted),
    now: new Date(timeMs(createdAt)),
  };
}
/** JSON as CEL sees it: whole numbers are integers. */
function celValue(value: unknown): unknown {
  if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map(celValue);
  if (typeof value !== "object" || value === null) return value;
  return new Map(
    Object.entries(value).flatMap(([key, member]: [string, unknown]) =>
      member === undefined ? [] : [[key, celValue(member)]],
    ),
  );
}

function present(fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
