/** The program as a process of its own, where no control plane is needed. */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const bin = fileURLToPath(new URL("../bin/cardea.js", import.meta.url));
const vectors = fileURLToPath(new URL("../../core/src/evidence/vectors/evidence.json", import.meta.url));

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "cardea-cli-"));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

function cardea(
  args: readonly string[],
  { environment = {}, input = "" }: { environment?: Record<string, string>; input?: string } = {},
) {
  const env = { PATH: process.env["PATH"], CARDEA_HOME: folder, ...environment };
  const { status, stdout, stderr } = spawnSync(process.execPath, [bin, ...args], {
    env,
    input,
    cwd: folder,
    encoding: "utf8",
    timeout: 20_000,
  });
  return { exit: status, out: stdout, err: stderr };
}

describe("exit codes", () => {
  it.each([
    [["--help"], 0],
    [["--version"], 0],
    [["policy", "--help"], 0],
    [[], 2],
    [["policy"], 2],
    [["nonsense"], 2],
    [["request"], 2],
    [["connect", "x", "--nonsense"], 2],
    [["request", "x", "--sql", "select 1", "--role", "read"], 2],
    [["request", "x", "--sql", "select 1", "--via", "direct"], 2],
    [["result", "12"], 3],
    [["runs", "resolve", "run_x", "--outcome", "perhaps", "--comment", "x"], 2],
    [["runs", "resolve", "run_x", "--outcome", "done"], 2],
    [["show", "12"], 3],
    [["whoami"], 3],
    [["--as", "alice", "whoami"], 2],
    [["--url", "nonsense", "trust"], 2],
    [["--url", "http://cardea.example", "trust"], 2],
    [["--url", "http://127.0.0.1:1", "trust"], 1],
    [["verify", "nothing.json", "--trust", "nothing.json"], 2],
    [["completion", "tcsh"], 2],
  ])("%j is %i", (args, exit) => {
    expect(cardea(args)).toMatchObject({ exit });
  });
});

describe("what goes wrong", () => {
  it("is a sentence for people, with its code", () => {
    const { out, err } = cardea(["whoami"]);
    expect(out).toBe("");
    expect(err).toMatch(/^cardea: nobody is signed in here: .* \(unauthenticated\)\n$/);
  });

  it("is a problem document for programs, also where the command line itself is wrong", () => {
    expect(JSON.parse(cardea(["whoami", "--json"]).err)).toMatchObject({
      code: "unauthenticated",
      status: 401,
      retryable: false,
    });
    expect(JSON.parse(cardea(["--json", "requests", "--stte", "x"]).err)).toMatchObject({
      code: "usage",
      detail: expect.stringContaining("did you mean --state?") as unknown,
    });
  });

  it("moves no cursor, whatever was typed", () => {
    expect(cardea(["show", "req_\u001b[2J\u009b"], { environment: { CARDEA_TOKEN: "x" } }).err).toBe(
      "cardea: `req_\ufffd[2J\ufffd` is not a request id (req_…) (usage)\n",
    );
  });

  it("is the server's own, and so is its exit code, where it is the server's program that runs", () => {
    const environment = { CARDEA_LISTEN_PORT: "nonsense", CARDEA_DATABASE: "postgresql://127.0.0.1:1/none" };
    expect(cardea(["server"], { environment })).toMatchObject({
      exit: 2,
      err: expect.stringContaining("CARDEA_LISTEN_PORT") as unknown,
    });
  });
});

describe("verifying offline", () => {
  // The published vectors, which a test of their own holds equal to what is made.
  const { trust, accepted } = JSON.parse(readFileSync(vectors, "utf8")) as {
    trust: object;
    accepted: { request: { asked: { justification: string } } };
  };

  it("needs nothing but the two files, and says what is proven and what is somebody's word", () => {
    writeFileSync(join(folder, "believed.json"), JSON.stringify(trust));
    const { exit, out } = cardea(["verify", "-", "--trust", "believed.json"], { input: JSON.stringify(accepted) });
    expect(exit).toBe(0);
    expect(out).toContain("under believed.json (honest.example/cardea, sha256:");
    expect(out.match(/^ {2}proven/gm)).toHaveLength(5);
    expect(out.match(/^ {2}asserted/gm)).toHaveLength(2);
    expect(out).toContain("  besides   everybody at prod-orders may make temporary tables in `orders`");
  });

  it("refuses with exit 1 and the code", () => {
    const tampered = structuredClone(accepted);
    tampered.request.asked.justification = "routine";
    const { exit, err } = cardea(["verify", "-", "--trust", "believed.json", "--json"], {
      input: JSON.stringify(tampered),
    });
    expect([exit, JSON.parse(err)]).toEqual([1, expect.objectContaining({ code: "evidence_signature" })]);
  });

  it("refuses to believe the evidence's own installation", () => {
    expect(cardea(["verify", "-"], { input: JSON.stringify(accepted) })).toMatchObject({
      exit: 2,
      err: expect.stringContaining("--trust") as unknown,
    });
  });
});

describe("a process", () => {
  it("whose reader goes away ends quietly", async () => {
    const child = spawn("/bin/sh", ["-c", `${process.execPath} ${bin} --help | head -1; echo "\${PIPESTATUS:-done}"`], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let err = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
    await new Promise((resolve) => child.once("close", resolve));
    expect(err).toBe("");
  });

  it("that waits for an answer ends at Ctrl-C with 130", async () => {
    const silent = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => silent.once("listening", resolve));
    const address = silent.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const connected = new Promise((resolve) => silent.once("connection", resolve));
    const child = spawn(process.execPath, [bin, "audit", "--follow", "--after", "0"], {
      env: {
        PATH: process.env["PATH"],
        CARDEA_HOME: folder,
        CARDEA_URL: `http://127.0.0.1:${port}`,
        CARDEA_TOKEN: "x",
      },
    });
    await connected;
    child.kill("SIGINT");
    const code = await new Promise((resolve) => child.once("exit", resolve));
    silent.close();
    expect(code).toBe(0);
  });
});
