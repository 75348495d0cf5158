/**
 * What the database alone must not be able to unsay: small facts in files beside the log's, one file each, because processes share the folder.
 * Who deletes rows, or sets them back, meets the fact. It says only that something was; what it was is in signed documents and in the log.
 */
import { mkdir, open, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Time } from "@cardea/core/documents/primitives";
import type { Control } from "../control.ts";

type Remembering = Pick<Control, "log" | "settings">;

export interface Fact {
  /** `votes`: a place in a request's order of votes is taken. `debts`: a break-glass grant must be looked back at. */
  readonly kind: "votes" | "debts";
  /** Ids and numbers, joined by dots. */
  readonly name: string;
}

/**
 * Remembers a fact, until a time or for good; again is as good as once. Called once the change is committed, as what was undone must
 * not be remembered: a crash in between loses this one fact. So does a folder that cannot be written, which is logged and stops nobody.
 */
export async function remember(control: Remembering, { kind, name }: Fact, until?: Time): Promise<void> {
  try {
    const directory = directoryOf(control, kind);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const file = await open(join(directory, name), "w", 0o600);
    try {
      await file.writeFile(until ?? "");
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    control.log.error({ err: error, kind, name }, "a fact could not be remembered outside the database");
  }
}

export async function isRemembered(control: Remembering, { kind, name }: Fact): Promise<boolean> {
  return (await unlessAbsent(stat(join(directoryOf(control, kind), name)))) !== undefined;
}

/** The names of all facts of a kind. */
export async function manyRemembered(control: Remembering, kind: Fact["kind"]): Promise<string[]> {
  return (await unlessAbsent(readdir(directoryOf(control, kind)))) ?? [];
}

/** The fact is no fact any more. */
export async function forget(control: Remembering, { kind, name }: Fact): Promise<void> {
  await rm(join(directoryOf(control, kind), name), { force: true });
}

/** Removes what was to be remembered until a time that is over. */
export async function forgetOver(control: Remembering, now: Time): Promise<void> {
  for (const name of await manyRemembered(control, "votes")) {
    const until = await unlessAbsent(readFile(join(directoryOf(control, "votes"), name), "utf8"));
    // A file that a power cut left empty says nothing of its time, and stays.
    if (until !== undefined && until !== "" && until < now) await forget(control, { kind: "votes", name });
  }
}

function directoryOf(control: Remembering, kind: Fact["kind"]): string {
  return join(control.settings.logDirectory, "remembered", kind);
}

async function unlessAbsent<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
