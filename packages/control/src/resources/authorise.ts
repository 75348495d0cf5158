/**
 * Signs what an outpost is to believe of a resource's configuration. A task is a row that the database's administrator could write, and
 * anybody can seal to an outpost's public key: only this signature, which counts up, entitles an outpost to change anything.
 */
import type { OutpostId, ResourceId, SubjectId } from "@cardea/core/contract/ids";
import type { SealedKey } from "@cardea/core/wire/delivery";
import type { ConfigurationAuthority } from "@cardea/core/wire/link";
import { CardeaError, isErrorCode } from "@cardea/core/contract/errors";
import type { Configuration } from "@cardea/core/documents/configuration";
import { digestOf } from "@cardea/core/documents/digest";
import { toTime } from "@cardea/core/documents/primitives";
import { signDigest } from "@cardea/core/documents/signature";
import type { Control, Tx } from "../control.ts";
import { maybeOneConfigurationLocked, storeConfiguration } from "../store/configurations.ts";
import { signDocument } from "../store/signed.ts";
import type { StoredTask } from "../store/tasks.ts";

export interface Subject {
  readonly resource: ResourceId;
  readonly name: string;
  readonly outpost: OutpostId;
  readonly by: SubjectId;
}

/** The next word on the resource, signed and stored. Without `sealed` it is that the resource is removed. */
export async function authorise(
  tx: Tx,
  control: Control,
  subject: Subject,
  sealed?: SealedKey,
): Promise<ConfigurationAuthority> {
  const before = await maybeOneConfigurationLocked(tx, control.keys, subject.resource);
  const now = control.clock.now();
  // By the clock, so that a database put back from a backup does not give out numbers that its outposts have seen.
  const version = Math.max((before?.version ?? 0) + 1, now);
  const head = { v: 1 as const, ...subject, version, at: toTime(now) };
  const document: Configuration =
    sealed === undefined ? { ...head, removed: true } : { ...head, content: digestOf("sealed", sealed) };
  const signed = signDocument(control.keys, "configuration", document);
  await storeConfiguration(tx, signed);
  const { id, seed } = control.keys.signing;
  return { document, signature: signDigest("control", id, seed, signed.digest) };
}

/** Why the outpost refused what it was sent. */
export function refusalOf({ code, detail }: StoredTask, name: string): CardeaError {
  const known = code !== undefined && isErrorCode(code) ? code : "resource_config_invalid";
  return new CardeaError(known, detail ?? `the outpost refused the configuration of \`${name}\``);
}
