import { z } from "zod";
import { Base64Url, Time } from "./primitives.ts";

/** What an outpost pins when it enrols: whom it believes, and which log. */
export const Trust = z.strictObject({
  v: z.literal(1),
  version: z.int().min(1),
  level: z.enum(["vouched", "rooted"]),
  /** The log's origin line, which also names the installation. */
  origin: z.string().min(1).max(200),
  /** The log's verifier key in signed-note form. */
  logKey: z.string().max(300),
  /** The control plane's Ed25519 public key, 32 bytes. */
  controlKey: Base64Url.length(43),
  roots: z.array(Base64Url.length(43)).max(50),
  threshold: z.int().min(0),
  rpId: z.string().max(253),
  origins: z.array(z.string().max(300)).max(20),
  expiresAt: Time.optional(),
});
export type Trust = z.infer<typeof Trust>;
