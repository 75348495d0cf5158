/**
 * Fills a new development installation: the sample people and policy, through the API like anybody, from the set-up token on. The
 * people's device keys are files of the data directory, which is what makes `--as NAME` possible there and nowhere else. Every step
 * looks first, so that a start that was killed half way is finished by the next.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CardeaError } from "@cardea/core/contract/errors";
import { fromBase64Url, toBase64Url } from "@cardea/core/lib/base64url";
import { CardeaClient } from "@cardea/sdk/client";
import { deviceKey, enrolKey, signInWith } from "@cardea/sdk/device-key";
import { z } from "zod";
import { monotonicMs, systemRandom } from "../processes/system.ts";
import { samplePeople } from "./people.ts";
import { samplePolicy } from "./policy.ts";

export interface Seed {
  readonly url: string;
  /** Lets in the administrator among the sample people; given while there is none. */
  readonly setupToken: string | undefined;
  readonly peopleDirectory: string;
  readonly onStep: (words: string) => void;
}

/** The one of the sample people who is the first administrator. */
export const sampleAdmin = "ada";

const readyTimeoutMs = 30_000;

/** A sample person's file; the command line reads the same form. */
const PersonFile = z.object({
  v: z.literal(1),
  url: z.string(),
  name: z.string(),
  subject: z.string(),
  credential: z.string(),
  kind: z.literal("device"),
  seed: z.string(),
});

/** Answers with an enrolment token while no outpost is enrolled. */
export async function seedInstallation({
  url,
  setupToken,
  peopleDirectory,
  onStep,
}: Seed): Promise<{ readonly enrolmentToken: string | undefined }> {
  await mkdir(peopleDirectory, { recursive: true, mode: 0o700 });
  if (setupToken !== undefined) await enrolSample(url, sampleAdmin, setupToken, peopleDirectory);
  const client = await signInAs(url, sampleAdmin, peopleDirectory);
  const marker = join(peopleDirectory, "..", "seeded");
  if ((await readFile(marker, "utf8").catch(() => "")) === "") {
    onStep("making the sample people and policy");
    await seedPeople(client, url, peopleDirectory);
    await seedPolicy(client);
    await writeFile(marker, "1\n", { mode: 0o600 });
  }
  const outposts = await client.outposts();
  return { enrolmentToken: outposts.items.length > 0 ? undefined : (await client.createEnrolmentToken()).token };
}

/** A client that acts as a sample person. @throws CardeaError `not_development` where there is no such person */
export async function signInAs(url: string, name: string, peopleDirectory: string): Promise<CardeaClient> {
  const text = await readFile(join(peopleDirectory, `${name}.json`), "utf8").catch((cause: unknown) => {
    throw new CardeaError("not_development", `there is no sample person \`${name}\` in \`${peopleDirectory}\``, {
      cause,
    });
  });
  const person = PersonFile.parse(JSON.parse(text));
  const { token } = await signInWith(
    new CardeaClient({ baseUrl: url }),
    person.credential,
    deviceKey(fromBase64Url(person.seed)).sign,
  );
  return new CardeaClient({ baseUrl: url, token: () => token });
}

/** Waits until the outpost has reported the sample resource. @throws CardeaError `timeout` with what the resource lacks */
export async function untilResourceReady(url: string, peopleDirectory: string, name: string): Promise<void> {
  const client = await signInAs(url, sampleAdmin, peopleDirectory);
  const deadline = monotonicMs() + readyTimeoutMs;
  for (;;) {
    const resource = (await client.resources()).items.find((item) => item.name === name);
    if (resource?.state === "ready") return;
    if (monotonicMs() > deadline) {
      const state =
        resource === undefined
          ? "not reported"
          : `${resource.state} (${resource.detail ?? resource.missing.map(({ what }) => what).join(", ")})`;
      throw new CardeaError(
        "timeout",
        `the resource \`${name}\` is ${state} after ${String(readyTimeoutMs / 1_000)} s`,
      );
    }
    await sleep(25);
  }
}

async function seedPeople(client: CardeaClient, url: string, directory: string): Promise<void> {
  const { items } = await client.people({ limit: 200 });
  for (const person of samplePeople) {
    const known = items.find(({ entry }) => entry.name === person.name)?.entry;
    const subject = known?.subject ?? (await client.createPerson(person)).person.entry.subject;
    if (person.name === sampleAdmin) {
      const { displayName, email, groups, permissions } = person;
      await client.changePerson(subject, {
        ...(displayName !== undefined && { displayName }),
        ...(email !== undefined && { email }),
        ...(groups !== undefined && { groups }),
        ...(permissions !== undefined && { permissions }),
      });
    } else if ((known?.credentials.length ?? 0) === 0) {
      const { invitation } = await client.invite(subject);
      await enrolSample(url, person.name, invitation, directory);
    }
  }
}

async function seedPolicy(client: CardeaClient): Promise<void> {
  const { base } = await client.planPolicy(samplePolicy);
  if (base === 0) await client.applyPolicy(samplePolicy, base);
}

async function enrolSample(url: string, name: string, invitation: string, directory: string): Promise<void> {
  const seed = systemRandom.bytes(32);
  const { publicKey, sign } = deviceKey(seed);
  const { credential, subject } = await enrolKey(
    new CardeaClient({ baseUrl: url }),
    invitation,
    { kind: "device", publicKey, label: "sample person" },
    sign,
  );
  const file: z.infer<typeof PersonFile> = {
    v: 1,
    url,
    name,
    subject,
    credential,
    kind: "device",
    seed: toBase64Url(seed),
  };
  await writeFile(join(directory, `${name}.json`), `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600 });
}
