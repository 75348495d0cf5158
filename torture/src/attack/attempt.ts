/**
 * One attack: what somebody tries, and the exact code by which it must fail. An attack passes only if what came of it is that code: a refusal for
 * another reason is a failure too, since the right one might not be there.
 */
import { CardeaError } from "@cardea/core/contract/errors";
import type { Ground } from "./ground.ts";

export interface Attack {
  /** What is tried, as a sentence. */
  readonly tries: string;
  /** A code of the error table, an SQLSTATE, an audit type or a state: whatever makes the refusal visible. */
  readonly meets: string;
  /** Tries it; answers with what came of it. What was changed beside the API is put back by the ground. */
  readonly run: (ground: Ground) => Promise<string>;
}

export interface AttackList {
  readonly title: string;
  readonly attacks: readonly Attack[];
  /** One of so many is tried in the short form; of four where absent. */
  readonly shortEvery?: number;
}

/** What comes of an attempt: the code of its refusal, or `accepted`. @throws whatever is no refusal */
export async function outcomeOf(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt;
    return "accepted";
  } catch (error) {
    return codeOf(error);
  }
}

/** Outcomes of attempts made at once, sorted, so that who was first does not matter. */
export async function outcomesOf(attempts: readonly Promise<unknown>[]): Promise<string> {
  return (await Promise.all(attempts.map(outcomeOf))).sort().join(" ");
}

/** The table's code, or the SQLSTATE of a database that refused. @throws the error, where it is neither */
function codeOf(error: unknown): string {
  if (error instanceof CardeaError) return error.code;
  if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code;
  throw error;
}

/** Fails loudly where the ground is not as an attack needs it. */
export function sure<T>(value: T | undefined | null, what: string): T {
  if (value === undefined || value === null) throw new Error(`the attack has no ${what}`);
  return value;
}
