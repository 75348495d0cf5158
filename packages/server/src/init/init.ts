/**
 * `cardea init`: from the sample to a resource of one's own. Asks, looks at the database with the very connector that will serve it, says
 * which privilege is missing and the SQL that grants it, offers the roles that are there, and writes the files. It changes nothing in the
 * database, overwrites no file, and keeps the password in a 0600 file of its own.
 */
import { access, mkdir, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Inspection } from "@cardea/connectors/connector";
import { CardeaError } from "@cardea/core/contract/errors";
import { checks, isTlsMode, readFlags, type ConnectAnswers, type Flags } from "./answers.ts";
import { cardeaYaml, outpostYaml, policyYaml, resourceEntry, type ChosenRole } from "./files.ts";
import { Interview } from "./interview.ts";
import { inspect } from "./look.ts";

export async function main(args: readonly string[]): Promise<number> {
  const flags = readFlags(args);
  const directory = resolve(flags.directory);
  const interview = new Interview(flags.yes);
  await demandFree(directory);
  say("Cardea, first steps with a PostgreSQL of your own. Nothing in it is changed.\n");

  const answers = await askConnection(interview, flags, directory);
  const found = await inspect(resourceEntry(answers, [{ name: "read", native: answers.user }]));
  say(`\nconnected: PostgreSQL ${found.version}`);
  const roles = await chooseRoles(interview, flags, found);
  const checked = await inspect(resourceEntry(answers, roles));
  report(checked);

  await write(directory, "cardea.yaml", cardeaYaml());
  await write(directory, "outpost.yaml", outpostYaml(answers, roles));
  await write(directory, "policy.yaml", policyYaml(answers, roles));
  say(nextSteps(answers, checked.missing.length > 0));
  return 0;
}

async function askConnection(interview: Interview, flags: Flags, directory: string): Promise<ConnectAnswers> {
  const name = await interview.ask({
    flag: "--name",
    message: "What do people call this database?",
    given: flags.name,
    check: checks.name,
  });
  const host = await interview.ask({
    flag: "--host",
    message: "Where is it?",
    given: flags.host,
    fallback: "127.0.0.1",
    check: checks.host,
  });
  const port = await interview.ask({
    flag: "--port",
    message: "On which port?",
    given: flags.port,
    fallback: "5432",
    check: checks.port,
  });
  const database = await interview.ask({
    flag: "--database",
    message: "Which databases may be asked for? (separated by commas)",
    given: flags.database,
    check: checks.database,
  });
  const user = await interview.ask({
    flag: "--user",
    message: "Which login shall Cardea work as? (it needs CREATEROLE, not superuser)",
    given: flags.user,
    fallback: "cardea_admin",
    check: checks.user,
  });
  const local = host.startsWith("/") || host === "localhost" || host === "127.0.0.1" || host === "::1";
  const tls = await interview.ask({
    flag: "--tls",
    message: "TLS?",
    given: flags.tls,
    fallback: local ? "disable" : "verify-full",
    check: checks.tls,
  });
  if (!isTlsMode(tls)) throw new CardeaError("usage", `--tls: \`${tls}\` will not do`);
  const passwordFile =
    flags.passwordFile === undefined ? await keepPassword(interview, user, directory) : resolve(flags.passwordFile);
  return {
    name,
    host,
    port: Number(port),
    databases: database
      .split(",")
      .map((part) => part.trim())
      .filter((part) => part !== ""),
    user,
    passwordFile,
    tls,
  };
}

/** Into a 0600 file beside the data, so that no configuration, history or process list ever shows it. */
async function keepPassword(interview: Interview, user: string, directory: string): Promise<string | undefined> {
  if (interview.silent) return undefined;
  const secret = await interview.askSecret(`The password of ${user}? (kept in a 0600 file; empty for none)`);
  if (secret === "") return undefined;
  const path = join(directory, ".cardea", "secrets", `${user.replaceAll(/[^a-zA-Z0-9_-]/g, "_")}-password`);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFile(path, `${secret}\n`, { mode: 0o600 });
  return path;
}

/** Existing native roles are the easy and preferred way: who may read and who may write is decided there already. */
async function chooseRoles(interview: Interview, flags: Flags, { offers }: Inspection): Promise<ChosenRole[]> {
  const safe = offers.filter(({ safeForDirect }) => safeForDirect);
  for (const { nativeRole, why } of offers.filter(({ safeForDirect }) => !safeForDirect))
    say(`  not on offer: ${nativeRole}${why === undefined ? "" : `, because ${why}`}`);
  const chosen: ChosenRole[] = [];
  for (const [name, message] of [
    ["read", "Which native role may read?"],
    ["write", "Which native role may change data?"],
  ] as const) {
    const native =
      flags[name] ??
      (interview.silent || safe.length === 0
        ? undefined
        : await interview.choose(message, [
            ...safe.map(({ nativeRole }) => ({ value: nativeRole, label: nativeRole })),
            { value: "", label: "none" },
          ]));
    if (native !== undefined && native !== "") chosen.push({ name, native });
  }
  if (chosen.length === 0) {
    throw new CardeaError(
      "role_unknown",
      `no native role was chosen; make one that logs nobody in, for example \`create role app_ro nologin; grant select on all tables in schema public to app_ro\`, and run init again`,
    );
  }
  return chosen;
}

function report({ missing, warnings }: Inspection): void {
  for (const warning of warnings) say(`  note: ${warning}`);
  if (missing.length === 0) {
    say("  every privilege that Cardea needs is there");
    return;
  }
  say("\nCardea's login lacks something. As the database's owner, run:\n");
  for (const { what, fix } of missing)
    say(`  -- ${what}\n${fix === undefined ? "" : `  ${fix.replaceAll("\n", "\n  ")}\n`}`);
}

async function demandFree(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const name of ["cardea.yaml", "outpost.yaml", "policy.yaml"]) {
    const there = await access(join(directory, name)).then(
      () => true,
      () => false,
    );
    if (there)
      throw new CardeaError(
        "usage",
        `\`${join(directory, name)}\` is there already; init overwrites nothing, so move it or name another folder by --directory`,
      );
  }
}

async function write(directory: string, name: string, text: string): Promise<void> {
  await writeFile(join(directory, name), text, { mode: 0o644, flag: "wx" });
  say(`wrote ${join(directory, name)}`);
}

function nextSteps({ name }: ConnectAnswers, incomplete: boolean): string {
  return `
Next${incomplete ? ", once the SQL above has been run" : ""}:

  1. npx cardea server                                   the control plane; makes .cardea/ and a set-up token, good for 15 minutes
  2. npx cardea login --invitation - < .cardea/setup-token     you become the first administrator
  3. npx cardea outposts invite > enrolment-token            then, in this folder on the machine that reaches ${name}:
     npx cardea outpost --enrol - < enrolment-token           the outpost, with outpost.yaml
  4. npx cardea people invite alice --groups engineering     the people, and those who approve: --groups owners
  5. npx cardea policy apply policy.yaml
  6. npx cardea connect ${name} --role read --for 15m --why "first key"
`;
}

function say(words: string): void {
  process.stdout.write(`${words}\n`);
}
