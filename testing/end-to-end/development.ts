/** Everything that `npm start` runs, in a folder and on ports of its own, for a test that uses it as people do. */
import { join } from "node:path";
import { freePort } from "../cluster.ts";
import { makeStackHome } from "../whole-stack.ts";
import { runCli, startServerProgram } from "./program.ts";

/** How long starting and stopping may take on a busy machine. */
export const startMs = 120_000;

export interface Development extends AsyncDisposable {
  /** What a command line needs to reach it. */
  readonly env: Readonly<Record<string, string>>;
  /** Runs `cardea` to its end. */
  cardea(...args: readonly string[]): ReturnType<typeof runCli>;
}

export async function startDevelopment(): Promise<Development> {
  const home = await makeStackHome();
  const [port, sample, gateway] = [await freePort(), await freePort(), await freePort()];
  const env = {
    CARDEA_DATA: join(home.path, "data"),
    CARDEA_LISTEN_PORT: String(port),
    CARDEA_SAMPLE_PORT: String(sample),
    CARDEA_GATEWAY_PORT: String(gateway),
    CARDEA_URL: `http://127.0.0.1:${String(port)}`,
  };
  const program = startServerProgram(["dev"], { env });
  const stop = async (): Promise<void> => {
    program.process.kill("SIGINT");
    await program.ended();
    await program[Symbol.asyncDispose]();
    await home[Symbol.asyncDispose]();
  };
  try {
    await program.says("Cardea is ready", startMs);
  } catch (error) {
    await stop();
    throw error;
  }
  return { env, cardea: (...args) => runCli(args, { env }), [Symbol.asyncDispose]: stop };
}
