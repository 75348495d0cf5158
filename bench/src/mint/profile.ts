/** Where the time of a key goes, from the moments that its own log entries and its requester's program noted. */
import type { AuditType } from "@cardea/core/contract/audit-types";
import { timeMs } from "@cardea/core/documents/primitives";
import type { CardeaClient } from "@cardea/sdk/client";
import { medianOf, rounded } from "../figures.ts";
import type { Minted } from "./mint.ts";

/** Of these the log notes when; whole milliseconds, so only medians over many keys say something. */
const noted = [
  "request.submitted",
  "lease.intended",
  "lease.live",
  "grant.issued",
  "key.delivered",
] as const satisfies readonly AuditType[];

/** Medians in milliseconds, step by step; a step whose entries are missing is left out. */
export async function profileOf(auditor: CardeaClient, keys: readonly Minted[]): Promise<Record<string, number>> {
  const steps: Record<string, number[]> = {};
  const add = (name: string, fromMs: number | undefined, toMs: number | undefined): void => {
    if (fromMs !== undefined && toMs !== undefined) (steps[name] ??= []).push(toMs - fromMs);
  };
  for (const key of keys) {
    const at = await momentsOf(auditor, key);
    add("toDecisionMs", key.askedMs, at.get("request.submitted"));
    add("commitAndAnswerMs", at.get("request.submitted"), key.answeredMs);
    add("logEvidenceLinkMs", at.get("request.submitted"), at.get("lease.intended"));
    add("createMs", at.get("lease.intended"), at.get("lease.live"));
    add("sealReceiptMs", at.get("lease.live"), at.get("grant.issued"));
    add("fetchMs", at.get("grant.issued"), at.get("key.delivered"));
    add("deliverOpenMs", at.get("key.delivered"), key.openedMs);
  }
  return Object.fromEntries(Object.entries(steps).map(([name, samples]) => [name, rounded(medianOf(samples))]));
}

async function momentsOf(auditor: CardeaClient, { request, grant }: Minted): Promise<Map<AuditType, number>> {
  const pages = await Promise.all([request.id, grant].map((id) => auditor.audit({ id, limit: 50, order: "asc" })));
  const moments = new Map<AuditType, number>();
  for (const { leaf } of pages.flatMap(({ items }) => items)) {
    if (noted.some((type) => type === leaf.type) && !moments.has(leaf.type)) moments.set(leaf.type, timeMs(leaf.at));
  }
  return moments;
}
