/** Builds the client of the acting person: signs in when needed, keeps the token until shortly before it is over. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { CardeaError } from "@cardea/core/contract/errors";
import { CardeaClient } from "@cardea/sdk/client";
import { signInWith } from "@cardea/sdk/device-key";
import { z } from "zod";
import { signerOf, writePrivate, type Home } from "./identity.ts";

const CachedToken = z.object({ url: z.string(), credential: z.string(), token: z.string(), expiresAt: z.string() });
const renewBeforeMs = 60_000;

export interface ClientOptions {
  readonly home: Home;
  /** From `--url` or `CARDEA_URL`; over the identity's own. */
  readonly url: string | undefined;
  /** From `CARDEA_TOKEN`: an API token instead of a sign-in. */
  readonly apiToken: string | undefined;
  readonly nowMs: () => number;
}

/** @throws CardeaError `unauthenticated` where nobody is signed in and no token is given; `usage` for a bad URL. */
export async function openClient({ home, url, apiToken, nowMs }: ClientOptions): Promise<CardeaClient> {
  const { identity } = home;
  const baseUrl = url ?? identity?.url ?? "http://127.0.0.1:7400";
  if (apiToken !== undefined) return new CardeaClient({ baseUrl, token: () => apiToken });
  if (identity === undefined) {
    throw new CardeaError("unauthenticated", "nobody is signed in here: `cardea login` with an invitation, set CARDEA_TOKEN, or in development mode say `--as alice`");
  }
  const path = join(home.directory, "token.json");
  const cached = CachedToken.safeParse(await readJson(path));
  const valid = cached.success && cached.data.url === baseUrl && cached.data.credential === identity.credential && Date.parse(cached.data.expiresAt) - renewBeforeMs > nowMs();
  if (valid) return new CardeaClient({ baseUrl, token: () => cached.data.token });
  const { token, expiresAt } = await signInWith(new CardeaClient({ baseUrl }), identity.credential, signerOf(identity));
  await writePrivate(path, JSON.stringify({ url: baseUrl, credential: identity.credential, token, expiresAt }));
  return new CardeaClient({ baseUrl, token: () => token });
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch {
    return undefined;
  }
}
