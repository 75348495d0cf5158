import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../cluster.ts";
import { runPage } from "../run-typed.ts";
import { makeStackHome } from "../whole-stack.ts";
import { runCli, startByNpm, startServerProgram, type Program } from "./program.ts";

const startMs = 90_000;

describe("`npm start`", () => {
  let home: Awaited<ReturnType<typeof makeStackHome>>;
  let env: NodeJS.ProcessEnv;
  let running: Program | undefined;
  let request = "";

  const start = async (): Promise<Program> => {
    const program = startServerProgram(["dev"], { env });
    await program.says("Cardea is ready", startMs);
    return program;
  };
  const cardea = (...args: string[]) => runCli(args, { env });

  beforeAll(async () => {
    home = await makeStackHome();
    const [port, sample, gateway] = [await freePort(), await freePort(), await freePort()];
    const dataDirectory = join(home.path, "data");
    env = {
      CARDEA_DATA: dataDirectory,
      CARDEA_LISTEN_PORT: String(port),
      CARDEA_SAMPLE_PORT: String(sample),
      CARDEA_GATEWAY_PORT: String(gateway),
    };
    running = await start();
  }, startMs);

  afterAll(async () => {
    await running?.[Symbol.asyncDispose]();
    await home[Symbol.asyncDispose]();
  }, startMs);

  it("prints where everything is and the next three commands", () => {
    const lines = running?.output().split("\n") ?? [];
    expect(lines.filter((line) => line.trim().startsWith("npx cardea "))).toHaveLength(3);
    expect(running?.output()).toContain(env["CARDEA_DATA"]);
  });

  it("takes a request, a self-approval's refusal and half an approval", async () => {
    const filed = await cardea(
      "--as",
      "alice",
      "--json",
      "request",
      "sample-shop",
      "--role",
      "write",
      "--for",
      "5m",
      "--why",
      "fix order 4711",
      "--no-wait",
    );
    expect(filed.exit).toBe(0);
    // The command prints one request document.
    request = (JSON.parse(filed.output) as { id: string }).id;
    const own = await cardea("--as", "alice", "approve", request, "--yes");
    expect(own).toMatchObject({ exit: 3 });
    expect(own.output).toContain("self_approval");
    expect((await cardea("--as", "bob", "approve", request, "--yes")).exit).toBe(0);
  }, 60_000);

  it(
    "refuses a second start on the same data with what to do",
    async () => {
      await using second = startServerProgram(["dev"], { env });
      expect(await second.ended()).toBe(2);
      expect(second.output()).toContain("CARDEA_DATA");
    },
    startMs,
  );

  it(
    "loses nothing when its supervisor is killed, and leaves no process of ours behind",
    async () => {
      const killed = running;
      killed?.process.kill("SIGKILL");
      expect(await killed?.ended()).toBe("SIGKILL");
      running = await start();
      const shown = await cardea("--as", "sam", "--json", "show", request);
      expect(JSON.parse(shown.output)).toMatchObject({ id: request, state: "pending", votes: [{ counts: true }] });
      expect((await cardea("--as", "sam", "approve", request, "--yes")).exit).toBe(0);
    },
    startMs,
  );

  it("is right in every command of the README's tour", async () => {
    const typed = await runPage({ dataDirectory: env["CARDEA_DATA"] ?? "" }, "README.md");
    expect(typed.length).toBeGreaterThan(8);
  }, 180_000);

  it(
    "stops everything on Ctrl-C",
    async () => {
      expect(await postmasters(env["CARDEA_DATA"] ?? "")).toHaveLength(2);
      running?.process.kill("SIGINT");
      expect(await running?.ended()).toBe(0);
      running = undefined;
      expect(await postmasters(env["CARDEA_DATA"] ?? "")).toEqual([]);
    },
    startMs,
  );
});

describe("`npm start` in a terminal", () => {
  it(
    "stops everything on Ctrl-C, which reaches it twice: from the terminal and from npm",
    async () => {
      await using home = await makeStackHome();
      const CARDEA_DATA = join(home.path, "data");
      const [port, sample, gateway] = [await freePort(), await freePort(), await freePort()];
      const env = {
        CARDEA_DATA,
        CARDEA_LISTEN_PORT: String(port),
        CARDEA_SAMPLE_PORT: String(sample),
        CARDEA_GATEWAY_PORT: String(gateway),
      };
      for (let turn = 0; turn < 3; turn += 1) {
        await using program = startByNpm({ env });
        await program.says("Cardea is ready", startMs);
        program.pressCtrlC();
        expect(await program.ended()).toBe(0);
        expect(await postmasters(CARDEA_DATA)).toEqual([]);
      }
    },
    startMs,
  );
});

/** The process ids in the pid files of the two embedded servers. */
async function postmasters(dataDirectory: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir(dataDirectory)) {
    const text = await readFile(join(dataDirectory, name, "postmaster.pid"), "utf8").catch(() => "");
    if (text !== "") found.push(Number(text.split("\n")[0]));
  }
  return found;
}
