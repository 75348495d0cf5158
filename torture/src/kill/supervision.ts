/** The parent's side of a supervisor: starts it in the same place again and again, asks it who is running, and kills. */
import { fork, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePort } from "@cardea/server/processes/free-port";
import { makeStackHome, signedIn, type WholeStack } from "@cardea/testing/whole-stack";
import { FromSupervisor, type Connection, type SupervisorOrder, type Victim } from "./supervisor-messages.ts";

const program = fileURLToPath(new URL("./supervisor.js", import.meta.url));
const readyWithinMs = 60_000;
/** What a killed supervisor left may still be ending, and hold a port or a folder, when the next one starts. */
const attempts = 40;
const attemptEveryMs = 500;
/** After so many, what is left of the supervisor before is ended by force: at a pause point it would wait for ever. */
const patientAttempts = 16;

export interface Place {
  readonly url: string;
  readonly database: Connection;
  readonly shop: Connection;
}

type Home = Awaited<ReturnType<typeof makeStackHome>>;
type Ports = Pick<SupervisorOrder, "port" | "samplePort" | "gatewayPort">;

export class Supervision implements AsyncDisposable {
  readonly #home: Home;
  readonly #ports: Ports;
  /** Told when the outpost stands at a pause point. */
  onPaused: (point: string) => void = () => undefined;
  #child: ChildProcess | undefined;
  #place: Place | undefined;
  /** Our processes under the supervisor that was killed last. */
  #left: readonly number[] = [];
  /** Why starts failed that came too early. */
  readonly failedStarts: string[] = [];
  /** Processes that outlived their supervisor for so long that they were ended by force. */
  lingered = 0;

  private constructor(home: Home, ports: Ports) {
    this.#home = home;
    this.#ports = ports;
  }

  /** A place for one installation; nothing runs yet. */
  static async prepare(): Promise<Supervision> {
    const [port, samplePort, gatewayPort] = [await freePort(), await freePort(), await freePort()];
    return new Supervision(await makeStackHome(), { port, samplePort, gatewayPort });
  }

  get dataDirectory(): string {
    return this.#home.path;
  }

  /** Where everything is; the same after every start. @throws TypeError before the first */
  get place(): Place {
    if (this.#place === undefined) throw new TypeError("nothing was started yet");
    return this.#place;
  }

  /** Sample people, signed in anew. */
  people(): WholeStack["as"] {
    return signedIn({ url: this.place.url, peopleDirectory: join(this.#home.path, "dev", "people") });
  }

  /** Starts the stack, trying again where the one before is still ending. @throws Error with why it does not start */
  async start(pauseAt?: string): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const outcome = await this.#startOnce(pauseAt);
      if (outcome === undefined) return;
      this.failedStarts.push(outcome);
      if (attempt === patientAttempts) this.#killLeft();
      if (attempt === attempts) throw new Error(`the stack does not start again: ${outcome}`);
      await sleep(attemptEveryMs);
    }
  }

  /** Starts, and kills while it starts. */
  async startAndKill(afterMs: number): Promise<void> {
    const child = this.#fork();
    await sleep(afterMs);
    child.kill("SIGKILL");
    await ended(child);
  }

  /** Who runs now; a process that is just being restarted is missing. */
  async pids(): Promise<Readonly<Partial<Record<Victim, number>>>> {
    const child = this.#child;
    if (child?.connected !== true) return {};
    const answer = this.#next(child, (message) => (message.kind === "pids" ? message.pids : undefined));
    child.send({ kind: "pids" });
    const pids = await Promise.race([answer, sleep(5_000, {})]);
    return Object.fromEntries(Object.entries(pids).filter(([, pid]) => pid !== undefined));
  }

  /** Kills by SIGKILL; whether there was anybody to kill. */
  async kill(victim: Victim): Promise<boolean> {
    const { [victim]: pid, control, outpost } = await this.pids();
    if (pid === undefined) return false;
    if (victim === "supervisor") this.#left = [control, outpost].filter((left) => left !== undefined);
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      return false;
    }
    if (victim === "supervisor" && this.#child !== undefined) await ended(this.#child);
    return true;
  }

  /** Ends everything in its own order. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGTERM");
    await ended(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.#home[Symbol.asyncDispose]();
  }

  #killLeft(): void {
    for (const pid of this.#left) {
      try {
        process.kill(pid, "SIGKILL");
        this.lingered += 1;
      } catch {
        // It has ended by itself, as it should.
      }
    }
    this.#left = [];
  }

  #fork(pauseAt?: string): ChildProcess {
    const child = fork(program, [], { stdio: ["ignore", "ignore", "inherit", "ipc"], detached: true });
    const order: SupervisorOrder = {
      dataDirectory: this.#home.path,
      ...this.#ports,
      ...(pauseAt !== undefined && { pauseAt }),
    };
    child.send({ kind: "start", order });
    return child;
  }

  async #startOnce(pauseAt: string | undefined): Promise<string | undefined> {
    const child = this.#fork(pauseAt);
    this.#child = child;
    child.on("message", (message) => {
      const told = FromSupervisor.parse(message);
      if (told.kind === "paused") this.onPaused(told.point);
    });
    const told = this.#next(child, (message) =>
      message.kind === "ready" || message.kind === "failed" ? message : undefined,
    );
    const gone = ended(child).then(() => ({ kind: "failed", why: "it ended before it was ready" }) as const);
    const late = sleep(readyWithinMs, { kind: "failed", why: "it was not ready in time" } as const, { ref: false });
    const outcome = await Promise.race([told, gone, late]);
    if (outcome.kind === "failed") {
      child.kill("SIGKILL");
      await ended(child);
      return outcome.why;
    }
    this.#place = outcome;
    return undefined;
  }

  #next<T>(child: ChildProcess, pick: (message: FromSupervisor) => T | undefined): Promise<T> {
    return new Promise((resolve) => {
      const listen = (message: unknown): void => {
        const picked = pick(FromSupervisor.parse(message));
        if (picked === undefined) return;
        child.off("message", listen);
        resolve(picked);
      };
      child.on("message", listen);
    });
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  await new Promise<void>((resolve) => child.once("exit", () => resolve()));
}
