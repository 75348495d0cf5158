/** `npm start` as a process of its own, and the processes that it starts. */
import { spawn } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "@cardea/server/processes/free-port";
import { makeStackHome, signedIn, type WholeStack } from "@cardea/testing/whole-stack";

export interface DevProcess extends AsyncDisposable, Pick<WholeStack, "as"> {
  readonly url: string;
  /** Our own processes by what they are; PostgreSQL's are not among them. */
  pids(): Promise<Readonly<Record<"supervisor" | "control" | "outpost", number>>>;
}

const readyWithinMs = 120_000;
const endsWithinMs = 30_000;

/** Starts it on free ports and waits until it says that it is ready. @throws Error with what it printed, where it ends first */
export async function startDev(): Promise<DevProcess> {
  const home = await makeStackHome();
  const [port, samplePort, gatewayPort] = [await freePort(), await freePort(), await freePort()];
  const server = join(dirname(createRequire(import.meta.url).resolve("@cardea/server/dev/dev")), "..", "main.js");
  const child = spawn(process.execPath, [server, "dev"], {
    env: {
      ...process.env,
      CARDEA_DATA: home.path,
      CARDEA_LISTEN_PORT: String(port),
      CARDEA_SAMPLE_PORT: String(samplePort),
      CARDEA_GATEWAY_PORT: String(gatewayPort),
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let printed = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (printed += text));
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    const insist = setTimeout(() => child.kill("SIGKILL"), endsWithinMs);
    await ended;
    clearTimeout(insist);
    await home[Symbol.asyncDispose]();
  };
  for (let waitedMs = 0; !printed.includes("Cardea is ready"); waitedMs += 50) {
    if (waitedMs > readyWithinMs || child.exitCode !== null || child.signalCode !== null) {
      await stop();
      throw new Error(`npm start did not become ready: ${printed.slice(-2_000)}`);
    }
    await sleep(50);
  }
  const url = `http://127.0.0.1:${String(port)}`;
  const supervisor = child.pid;
  if (supervisor === undefined) throw new TypeError("a child that printed something has a number");
  return {
    url,
    as: signedIn({ url, peopleDirectory: join(home.path, "dev", "people") }),
    pids: async () => ({
      supervisor,
      control: await childOf(supervisor, "server"),
      outpost: await childOf(supervisor, "outpost"),
    }),
    [Symbol.asyncDispose]: stop,
  };
}

/** The child of a process that runs this program of ours, by proc(5). */
async function childOf(parent: number, program: string): Promise<number> {
  for (const name of await readdir("/proc")) {
    if (!/^[0-9]+$/.test(name)) continue;
    const [stat, command] = await Promise.all([
      readFile(`/proc/${name}/stat`, "utf8"),
      readFile(`/proc/${name}/cmdline`, "utf8"),
    ]).catch(() => ["", ""]);
    const parentOf = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    if (parentOf === parent && command.split("\0").includes(program)) return Number(name);
  }
  throw new Error(`process ${String(parent)} has no child that runs \`${program}\``);
}
