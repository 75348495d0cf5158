/** The everyday commands: `connect` and `run` ask, wait, use the key in one child process, and give it back. */
import { spawn } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import type { DeliveredKey } from "@cardea/core/contract/delivery";
import { CardeaError } from "@cardea/core/contract/errors";
import type { GrantView } from "@cardea/core/contract/api/grants";
import type { Context } from "../context.ts";
import { forgetDeliveryKey } from "../keys/delivery-store.ts";
import { fileRequest, takeKey, untilDecided } from "../keys/obtain.ts";
import { connectionUri, fillTemplate, libpqEnvironment, passfileLine } from "../keys/render.ts";
import { userPath } from "../context.ts";
import type { Registry } from "../program.ts";
import { waitLimit, wishOf, withWishOptions, type WishOptions } from "./wish.ts";

export function addAccessCommands({ program, context, setExitCode }: Registry): void {
  withWishOptions(program.command("connect").argument("<resource>").argument("[psqlArgs...]", "passed on to psql, after `--`"))
    .description("ask for access, wait, and open psql with the key; given back when psql ends")
    .action(async (resource: string, args: string[], options: WishOptions) => {
      setExitCode(await withKey(context(), resource, options, (key) => ({ command: "psql", args, env: libpqEnvironment(key) })));
    });

  withWishOptions(program.command("run").argument("<resource>").argument("<command...>", "the command, after `--`"))
    .description("ask for access, wait, and run a command with the key; given back when it ends")
    .option("--key-as <form>", "env, uri (DATABASE_URL), pgpass (PGPASSFILE), json (CARDEA_KEY_FILE) or template:PATH (CARDEA_KEY_FILE)", "env")
    .passThroughOptions()
    .action(async (resource: string, [command, ...args]: [string, ...string[]], options: WishOptions & { keyAs: string }) => {
      setExitCode(await withKey(context(), resource, options, async (key, directory) => ({ command, args, env: await keyAs(options.keyAs, key, directory) })));
    });
}

interface Child {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Obtains a key, runs one child with it, releases the grant whatever happens, and answers the child's exit code. */
async function withKey(context: Context, resource: string, options: WishOptions, prepare: (key: DeliveredKey, directory: string) => Child | Promise<Child>): Promise<number> {
  const { terminal } = context;
  const decided = await untilDecided(context, await fileRequest(context, wishOf(resource, options)), waitLimit(options, context.nowMs()));
  const directory = await mkdtemp(join(tmpdir(), "cardea-key-"));
  await chmod(directory, 0o700);
  try {
    const { grant, key } = await takeKey(context, decided);
    terminal.note(`${grant.id}: ${resource} as ${grant.role ?? "approved"} until ${key.notAfter}`);
    return await runChild(await prepare(key, directory));
  } finally {
    await rm(directory, { recursive: true, force: true });
    await giveBack(context, decided.grant, decided.document.asked.deliverTo);
  }
}

/** Releasing is a courtesy: where it fails the key ends by itself, and the person is told. */
async function giveBack(context: Context, grant: GrantView | undefined, deliverTo: string | undefined): Promise<void> {
  if (grant === undefined) return;
  try {
    await (await context.client()).release(grant.id);
    context.terminal.note(`${grant.id} released`);
  } catch (error) {
    if (error instanceof CardeaError && ["grant_ended", "grant_not_active"].includes(error.code)) return;
    context.terminal.note(`${grant.id} could not be released (${error instanceof Error ? error.message : "unknown"}); it ends by itself`);
  } finally {
    const home = await context.home();
    await forgetDeliveryKey(home.directory, deliverTo);
  }
}

async function keyAs(form: string, key: DeliveredKey, directory: string): Promise<Record<string, string>> {
  const file = async (name: string, text: string) => {
    const path = join(directory, name);
    await writeFile(path, text, { mode: 0o600 });
    return path;
  };
  if (form === "env") return libpqEnvironment(key);
  if (form === "uri") return { DATABASE_URL: connectionUri(key) };
  if (form === "pgpass") {
    const { PGPASSWORD: _secret, ...rest } = libpqEnvironment(key);
    return { ...rest, PGPASSFILE: await file("pgpass", `${passfileLine(key)}\n`) };
  }
  if (form === "json") return { CARDEA_KEY_FILE: await file("key.json", `${JSON.stringify(key)}\n`) };
  if (form.startsWith("template:")) {
    const template = await readFile(userPath(form.slice("template:".length)), "utf8").catch((cause: unknown) => {
      throw new CardeaError("usage", `--key-as: the template \`${form.slice("template:".length)}\` cannot be read`, { cause });
    });
    return { CARDEA_KEY_FILE: await file("key", fillTemplate(template, key)) };
  }
  throw new CardeaError("usage", `--key-as: \`${form}\` is none of env, uri, pgpass, json, template:PATH`);
}

/** The child owns the terminal; signals that the terminal sends reach it by itself, ours are passed on. */
function runChild({ command, args, env }: Child): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args], { stdio: "inherit", env: { ...process.env, ...env } });
    const ignore = () => undefined;
    const pass = () => child.kill("SIGTERM");
    process.on("SIGINT", ignore);
    process.on("SIGTERM", pass);
    child.once("error", (cause) => {
      const missing = "code" in cause && cause.code === "ENOENT";
      reject(new CardeaError("usage", missing ? `\`${command}\` was not found; is it installed and on the PATH?` : `\`${command}\` could not be run`, { cause }));
    });
    child.once("exit", (code, signal) => {
      process.off("SIGINT", ignore);
      process.off("SIGTERM", pass);
      resolve(code ?? (signal === null ? 1 : 128 + constants.signals[signal]));
    });
  });
}
