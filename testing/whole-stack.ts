/**
 * A whole Cardea for benchmarks and torture runs: what `npm start` runs, in a folder of its own that goes afterwards, with the sample people
 * at hand. Built code only, since it starts our own processes.
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Trust } from "@cardea/core/documents/trust";
import type { CardeaClient } from "@cardea/sdk/client";
import { startStack, type Stack, type StackOptions } from "@cardea/server/dev/stack";
import { signInAs } from "@cardea/server/sample/seed";

/** Who lives in a development installation; see `server/src/sample/people.ts` for what each may do. */
export type SampleName = "alice" | "bob" | "carol" | "sam" | "ada";

export interface WholeStack extends AsyncDisposable {
  readonly stack: Stack;
  readonly trust: Trust;
  /** A signed-in client, one a person. */
  as(name: SampleName): Promise<CardeaClient>;
}

/** Starts everything on free ports; the caller ends it. @throws CardeaError with what failed */
export async function startWholeStack(
  options: Pick<StackOptions, "env" | "onLine" | "onStep"> = {},
): Promise<WholeStack> {
  const home = await makeStackHome();
  try {
    const stack = await startStack({ ...options, dataDirectory: home.path, port: 0, samplePort: 0, gatewayPort: 0 });
    const as = signedIn(stack);
    const trust = await (await as("alice")).trust();
    return {
      stack,
      trust,
      as,
      [Symbol.asyncDispose]: async () => {
        await stack[Symbol.asyncDispose]();
        await home[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await home[Symbol.asyncDispose]();
    throw error;
  }
}

/** A data directory that PostgreSQL's account can pass through, so that nothing of it has to be kept elsewhere. */
export async function makeStackHome(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), "cardea-stack-"));
  await chmod(path, 0o711);
  return {
    path,
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }),
  };
}

/** Signs each person in once, when first asked for. */
export function signedIn({ url, peopleDirectory }: Pick<Stack, "url" | "peopleDirectory">): WholeStack["as"] {
  const clients = new Map<SampleName, Promise<CardeaClient>>();
  return (name) => {
    let client = clients.get(name);
    if (client === undefined) {
      client = signInAs(url, name, peopleDirectory);
      clients.set(name, client);
      client.catch(() => clients.delete(name));
    }
    return client;
  };
}
