/**
 * Whether the control plane wants a resource configured so. That something is sealed to this outpost says nothing of its maker, and tasks are
 * rows of a database: only the pinned control key's signature counts, over exactly these bytes, for this resource and outpost, once.
 */
import { z } from "zod";
import type { SealedKey } from "@cardea/core/wire/delivery";
import type { ConfigurationAuthority } from "@cardea/core/wire/link";
import type { OutpostId, ResourceId } from "@cardea/core/contract/ids";
import type { Configuration } from "@cardea/core/documents/configuration";
import { Digest, digestOf } from "@cardea/core/documents/digest";
import { verifyDigest } from "@cardea/core/documents/signature";
import { ok, refused, type Result } from "@cardea/core/lib/result";

/** The newest word that was believed, kept for ever, also after a removal. */
export const KnownConfiguration = z.strictObject({ version: z.int(), digest: Digest });
export type KnownConfiguration = z.infer<typeof KnownConfiguration>;

export interface AuthorityGround {
  readonly self: OutpostId;
  /** Pinned at enrolment. */
  readonly controlKey: Uint8Array;
  /** The id that follows from the document's name at this outpost. */
  readonly resource: ResourceId;
  readonly known: KnownConfiguration | undefined;
}

export interface Believed {
  readonly document: Configuration;
  readonly known: KnownConfiguration;
}

/** Judges what came with a task. The very document that was believed last is believed again: tasks come at least once. Pure. */
export function judgeAuthority(
  { document, signature }: ConfigurationAuthority,
  sealed: SealedKey | undefined,
  { self, controlKey, resource, known }: AuthorityGround,
): Result<Believed, "configuration_invalid" | "configuration_stale"> {
  const digest = digestOf("configuration", document);
  if (!verifyDigest(signature, "control", controlKey, digest)) {
    return refused(
      "configuration_invalid",
      `the configuration of \`${document.name}\` is not signed by the control plane`,
    );
  }
  if (document.outpost !== self)
    return refused("configuration_invalid", `the configuration of \`${document.name}\` is for another outpost`);
  if (document.resource !== resource)
    return refused(
      "configuration_invalid",
      `\`${document.resource}\` is not the id of \`${document.name}\` at this outpost`,
    );
  const content = sealed === undefined ? undefined : digestOf("sealed", sealed);
  if (content !== ("content" in document ? document.content : undefined)) {
    return refused(
      "configuration_invalid",
      `the configuration of \`${document.name}\` is not the one that the control plane signed`,
    );
  }
  const { version } = document;
  if (known !== undefined && version < known.version) {
    return refused(
      "configuration_stale",
      `version ${String(version)} of the configuration of \`${document.name}\` is older than ${String(known.version)}, which was seen`,
    );
  }
  if (known?.version === version && known.digest !== digest) {
    return refused(
      "configuration_stale",
      `there are two configurations of \`${document.name}\` with version ${String(version)}`,
    );
  }
  return ok({ document, known: { version, digest } });
}
