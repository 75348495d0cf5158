/**
 * Fills a new development installation: the sample people and policy, through the API like anybody, from the set-up token on. The
 * people's device keys are files of the data directory, which is what makes `--as NAME` possible there and nowhere else.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { toBase64Url } from "@cardea/core/lib/base64url";
import { CardeaClient } from "@cardea/sdk/client";
import { deviceKey, enrolKey, signInWith } from "@cardea/sdk/device-key";
import { systemRandom } from "../processes/system.ts";
import { samplePeople } from "./people.ts";
import { samplePolicy } from "./policy.ts";

interface Seed {
  readonly url: string;
  /** Lets in the administrator among the sample people. */
  readonly setupToken: string;
  readonly peopleDirectory: string;
}

/** The one of the sample people who is the first administrator. */
export const sampleAdmin = "ada";

export async function seedPeople({ url, setupToken, peopleDirectory }: Seed): Promise<void> {
  await mkdir(peopleDirectory, { recursive: true, mode: 0o700 });
  const admin = await enrolSample(url, sampleAdmin, setupToken, peopleDirectory);
  const token = (await signInWith(new CardeaClient({ baseUrl: url }), admin.credential, admin.sign)).token;
  const client = new CardeaClient({ baseUrl: url, token: () => token });
  const { items } = await client.people({ limit: 200 });
  for (const person of samplePeople) {
    const known = items.find(({ entry }) => entry.name === person.name);
    if (person.name === sampleAdmin && known !== undefined) {
      const { displayName, email, groups } = person;
      await client.changePerson(known.entry.subject, { ...(displayName !== undefined && { displayName }), ...(email !== undefined && { email }), ...(groups !== undefined && { groups }) });
    } else {
      const subject = known?.entry.subject ?? (await client.createPerson(person)).person.entry.subject;
      const { invitation } = await client.invite(subject);
      await enrolSample(url, person.name, invitation, peopleDirectory);
    }
  }
  await client.applyPolicy(samplePolicy, 0);
}

async function enrolSample(url: string, name: string, invitation: string, directory: string) {
  const seed = systemRandom.bytes(32);
  const { publicKey, sign } = deviceKey(seed);
  const { credential, subject } = await enrolKey(new CardeaClient({ baseUrl: url }), invitation, { kind: "device", publicKey, label: "sample person" }, sign);
  const file = { v: 1, url, name, subject, credential, kind: "device", seed: toBase64Url(seed) };
  await writeFile(join(directory, `${name}.json`), `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600 });
  return { credential, sign };
}
