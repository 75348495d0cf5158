import { z } from "zod";
import { JsonValue, plainText } from "./primitives.ts";

/** Longer inventories are known by their digest alone. In characters of JSON. */
export const maxPublicPrivilegesLength = 262_144;

/**
 * What a resource gives to every login, whatever its grant says: in words, each going on from "everybody may", and as the connector's own
 * inventory beside them. A specification names its digest, so it is the outpost's word.
 */
export const PublicPrivileges = z
  .object({ summary: z.array(plainText(1_000).min(1)).max(100) })
  .catchall(JsonValue)
  .refine((inventory) => JSON.stringify(inventory).length <= maxPublicPrivilegesLength, "is too long");
export type PublicPrivileges = z.infer<typeof PublicPrivileges>;
