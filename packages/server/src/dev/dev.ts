/** `npm start`: the whole of Cardea on this machine, in development mode, until Ctrl-C. */
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { untilAsked } from "../programs/parent.ts";
import { readSettings } from "../settings/settings.ts";
import { samplePeople } from "../sample/people.ts";
import { startStack, type Stack } from "./stack.ts";
import { monotonicMs, systemEnvironment } from "../processes/system.ts";

export async function main(): Promise<number> {
  const asked = untilAsked();
  const settings = await readSettings(systemEnvironment, process.cwd());
  const started = monotonicMs();
  const logDirectory = join(settings.dataDirectory, "log");
  const stack = await startStack({
    dataDirectory: settings.dataDirectory,
    port: settings.listen.port,
    samplePort: settings.samplePort,
    gatewayPort: settings.gatewayPort,
    onStep: (words) => process.stdout.write(`  ${words}\n`),
    onLine: lineWriter(logDirectory),
  });
  process.stdout.write(welcome(stack, settings.samplePort, monotonicMs() - started));
  const why = await asked;
  process.stdout.write(`\n  ${why === "SIGINT" ? "stopping" : `stopping (${why})`}\n`);
  await stack[Symbol.asyncDispose]();
  return 0;
}

/** The children's logs go to files; what they say is for whoever looks for it, not for the newcomer's terminal. */
function lineWriter(directory: string): (name: string, line: string) => void {
  let last: Promise<void> = Promise.resolve();
  return (name, line) => {
    last = last
      .then(() => appendFile(join(directory, `${name.replaceAll(" ", "-")}.log`), `${line}\n`, { mode: 0o600 }))
      .catch(() => undefined);
  };
}

function welcome(stack: Stack, samplePort: number, tookMs: number): string {
  const people = samplePeople.map(({ name, groups }) => `${name} (${(groups ?? []).join(", ")})`).join(", ");
  return `
  Cardea is ready in development mode (${(tookMs / 1_000).toFixed(1)} s).

    API             ${stack.url}   (reference: ${stack.url}/docs)
    gateway         127.0.0.1:${String(stack.gatewayPort)}, PostgreSQL; user and password are a key's
    sample database 127.0.0.1:${String(samplePort)}, database shop; asked for as sample-shop
    people          ${people}
    data and logs   ${stack.dataDirectory}

  Try, in another terminal:

    npx cardea connect sample-shop --role read --for 15m --why "looking around" --as alice
    npx cardea request sample-shop --role write --for 30m --why "fix order 4711" --as alice
    npx cardea requests --as bob

  Ctrl-C stops everything.
`;
}
