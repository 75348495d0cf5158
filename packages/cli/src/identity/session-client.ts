/**
 * Builds the client of the acting person. It signs in when needed, keeps the token until shortly before it is over, and signs in anew where a
 * kept one is refused: after a restore, or when the sign-in was ended elsewhere.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { CardeaError } from "@cardea/core/contract/errors";
import { CardeaClient } from "@cardea/sdk/client";
import { signInWith } from "@cardea/sdk/device-key";
import { z } from "zod";
import type { Home, Identity } from "./identity.ts";
import { readPrivateJson, writePrivate } from "./private-file.ts";
import { signerOf } from "./signing.ts";

const KeptToken = z.object({ url: z.string(), credential: z.string(), token: z.string(), expiresAt: z.string() });
const renewBeforeMs = 60_000;
const defaultUrl = "http://127.0.0.1:7400";

export interface ClientOptions {
  readonly home: Home;
  /** From `--url` or `CARDEA_URL`; over the identity's own. */
  readonly url: string | undefined;
  /** From `CARDEA_TOKEN`: an API token instead of a sign-in. */
  readonly apiToken: string | undefined;
  readonly nowMs: () => number;
}

/** @throws CardeaError `unauthenticated` where nobody is signed in and no token is given; `usage` for a bad URL. */
export function openClient({ home, url, apiToken, nowMs }: ClientOptions): CardeaClient {
  const { directory, identity } = home;
  const baseUrl = url ?? identity?.url ?? defaultUrl;
  if (apiToken !== undefined) return new CardeaClient({ baseUrl, token: () => apiToken });
  if (identity === undefined) {
    throw new CardeaError(
      "unauthenticated",
      "nobody is signed in here: `cardea login` with an invitation, set CARDEA_TOKEN, or in development mode say `--as alice`",
    );
  }
  const tokens = new Tokens(directory, identity, baseUrl, nowMs);
  return new CardeaClient({ baseUrl, token: (refused) => tokens.current(refused) });
}

/** What is asked before anybody is signed in: the public part of the API. */
export function publicClient(url: string | undefined, identity: Identity | undefined): CardeaClient {
  return new CardeaClient({ baseUrl: url ?? identity?.url ?? defaultUrl });
}

/** The token of an identity at one control plane, kept in a file. */
export class Tokens {
  readonly #path: string;
  readonly #identity: Identity;
  readonly #url: string;
  readonly #nowMs: () => number;
  #kept: z.infer<typeof KeptToken> | undefined;

  constructor(directory: string, identity: Identity, url: string, nowMs: () => number) {
    this.#path = join(directory, "token.json");
    this.#identity = identity;
    this.#url = url;
    this.#nowMs = nowMs;
  }

  /** A token that is good for a while; another one than `refused`. */
  async current(refused?: string): Promise<string> {
    this.#kept ??= await this.#read();
    const kept = this.#kept;
    if (kept !== undefined && kept.token !== refused && Date.parse(kept.expiresAt) - renewBeforeMs > this.#nowMs())
      return kept.token;
    return this.renew();
  }

  /** Signs in. @throws ApiError `signature_invalid`, `subject_inactive` */
  async renew(): Promise<string> {
    const { token, expiresAt } = await signInWith(
      new CardeaClient({ baseUrl: this.#url }),
      this.#identity.credential,
      signerOf(this.#identity),
      this.#identity.origin,
    );
    this.#kept = { url: this.#url, credential: this.#identity.credential, token, expiresAt };
    await writePrivate(this.#path, JSON.stringify(this.#kept));
    return token;
  }

  async forget(): Promise<void> {
    this.#kept = undefined;
    await rm(this.#path, { force: true });
  }

  async #read(): Promise<z.infer<typeof KeptToken> | undefined> {
    const parsed = KeptToken.safeParse(await readPrivateJson(this.#path));
    return parsed.success && parsed.data.url === this.#url && parsed.data.credential === this.#identity.credential
      ? parsed.data
      : undefined;
  }
}
