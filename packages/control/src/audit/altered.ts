import { CardeaError } from "@cardea/core/contract/errors";
import type { Control } from "../control.ts";
import { Recent } from "../store/recent.ts";
import { transact } from "../store/transaction.ts";
import { record } from "./record.ts";

/** Rows already told of, so that one altered row does not fill the log by being looked at. */
const told = new WeakMap<Control, Recent<string, true>>();
const maxTold = 10_000;

/**
 * Does the work, and where that meets a stored document that somebody altered beside Cardea, makes the finding an entry of the log, once a
 * process. The error goes on to the caller.
 */
export async function reportingAlterations<T>(control: Control, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof CardeaError && typeof error.extra["altered"] === "string")
      await reportAltered(control, error.extra["altered"]);
    throw error;
  }
}

/** Like `reportingAlterations`, for lists: what was altered is left out, so that one such row does not hide the others. */
export async function unlessAltered<T>(control: Control, work: Promise<T>): Promise<T | undefined> {
  try {
    return await reportingAlterations(control, work);
  } catch (error) {
    if (error instanceof CardeaError && (error.code === "evidence_signature" || error.code === "evidence_mismatch"))
      return undefined;
    throw error;
  }
}

/** Logs that the row with this id was altered. Never throws: what was found is refused in any case. */
export async function reportAltered(control: Control, id: string): Promise<void> {
  const seen = told.get(control) ?? new Recent<string, true>(maxTold);
  told.set(control, seen);
  if (seen.get(id) !== undefined) return;
  seen.set(id, true);
  control.log.error({ id }, "a stored document was altered beside Cardea; it is refused");
  try {
    await transact(control, (tx) =>
      record(tx, control, {
        type: "security.refused",
        ids: { altered: id },
        data: { what: "a stored document was altered" },
      }),
    );
  } catch (error) {
    control.log.error({ err: error, id }, "the alteration could not be logged");
  }
}
