/**
 * `torture -- kill --seconds N`: SIGKILL for every process there is (the supervisor, the control plane, the outpost, the postmasters of both databases), at the
 * outpost's named pause points, in the middle of named statements of the control plane and at the resource, and at any moment, while people and programs
 * use what they ask for. After each kill a key must be made again before the next. At the end all must be as if nothing had happened: see `verdict.ts`.
 * `--seed N` begins alike; without one the seed is printed.
 */
import { parseArgs } from "node:util";
import { setTimeout as sleep } from "node:timers/promises";
import { CardeaError } from "@cardea/core/contract/errors";
import { pausePoints } from "@cardea/outpost/pause-points";
import type { CardeaClient } from "@cardea/sdk/client";
import type { ExerciseOptions, ExerciseResult } from "@cardea/testing/exercise";
import { diceOf, type Dice } from "./dice.ts";
import { atGate, gates, type Gate } from "./gates.ts";
import { Supervision } from "./supervision.ts";
import { victims, type Victim } from "./supervisor-messages.ts";
import { judge, type Verdict } from "./verdict.ts";
import { Witness } from "./witness.ts";
import { Workload } from "./workload.ts";

const defaultSeconds = 900;
const workers = 5;
/** The long form makes at least so many. */
const wantedKills = 200;
const longFormSeconds = 800;
const recoversWithinMs = 60_000;
/** Worth a line. */
const slowRecoveryMs = 5_000;

/** A supervisor waits longer before each restart of the same process, so it is killed itself once it has had to wait so often. */
const killsOfOnePerSupervisor = 3;

interface Kill {
  readonly victim: Victim;
  /** A pause point, a gate, or `at random`. */
  readonly at: string;
}

export async function run({ seconds = defaultSeconds, args, signal, say }: ExerciseOptions): Promise<ExerciseResult> {
  const { values } = parseArgs({ args: [...args], options: { seed: { type: "string" } } });
  const seed = Number(values.seed ?? Date.now() % 1_000_000);
  say(`seed ${String(seed)}`);
  const torture = await Torture.begin(diceOf(seed), say);
  // eslint-disable-next-line @typescript-eslint/no-unused-vars -- held to be disposed
  await using _ = torture;
  const untilMs = performance.now() + seconds * 1_000;
  let dead: string | undefined;
  try {
    while (performance.now() < untilMs && !signal.aborted) await torture.epoch(untilMs, signal);
  } catch (error) {
    dead = error instanceof Error ? error.message : String(error);
    say(`it did not come back: ${dead}`);
  }
  const verdict = await torture.verdict();
  for (const [what, found] of Object.entries(verdict))
    if (Array.isArray(found)) for (const one of found.slice(0, 20)) say(`${what}: ${String(one)}`);
  const { kills, recoveryMs, workload } = torture;
  for (const [words, count] of workload.failures) say(`  ${String(count)} × ${words}`);
  const clean = [verdict.orphans, verdict.withoutEvidence, verdict.lost, verdict.unfinished, verdict.stuck].every(
    (list) => list.length === 0,
  );
  const enough = seconds < longFormSeconds || kills.length >= wantedKills;
  return {
    name: "kill",
    pass: clean && dead === undefined && enough && kills.length > 0,
    figures: {
      kills: kills.length,
      ...countBy(
        "killed",
        victims,
        kills.map(({ victim }) => victim),
      ),
      ...countBy(
        "at",
        [...pausePoints, ...gates.map(({ name }) => name), "start", "at random"],
        kills.map(({ at }) => at),
      ),
      orphans: verdict.orphans.length,
      keysWithoutEvidence: verdict.withoutEvidence.length,
      entriesLost: verdict.lost.length,
      unfinishedGrants: verdict.unfinished.length,
      stuck: verdict.stuck.length,
      loginsSeen: torture.loginsSeen,
      logSize: verdict.logSize,
      checkpointsSeen: torture.checkpointsSeen,
      acknowledged: workload.acknowledged.length,
      ...workload.counts,
      recoveryP50Ms: recoveryMs[Math.floor(recoveryMs.length / 2)] ?? null,
      recoveryMaxMs: recoveryMs.at(-1) ?? null,
      startsThatFailed: torture.failedStarts,
      lingered: torture.lingered,
      seed,
      ...(dead !== undefined && { dead }),
    },
  };
}

class Torture implements AsyncDisposable {
  readonly kills: Kill[] = [];
  readonly workload: Workload;
  readonly #supervision: Supervision;
  readonly #witness: Witness;
  readonly #dice: Dice;
  readonly #say: (line: string) => void;
  readonly #recoveryMs: number[] = [];
  #lastKillMs = performance.now();
  /** Kills of an outpost that came to a pause point; under way or done. */
  #pausedKills = 0;
  #killing: Promise<unknown> = Promise.resolve();
  #epochs = 0;
  #nextGate = 0;

  private constructor(supervision: Supervision, dice: Dice, say: (line: string) => void) {
    this.#supervision = supervision;
    this.#dice = dice;
    this.#say = say;
    this.#witness = new Witness(supervision.place.url, supervision.place.shop);
    this.workload = new Workload(() => supervision.people(), dice);
    this.workload.start(workers);
  }

  /** Starts everything for the first time, undisturbed. */
  static async begin(dice: Dice, say: (line: string) => void): Promise<Torture> {
    const supervision = await Supervision.prepare();
    try {
      await supervision.start();
      const torture = new Torture(supervision, dice, say);
      supervision.onPaused = (point) => torture.#killPaused(point);
      await torture.#recover(() => false);
      await supervision.kill("supervisor");
      torture.#note("supervisor", "at random");
      return torture;
    } catch (error) {
      await supervision[Symbol.asyncDispose]();
      throw error;
    }
  }

  get recoveryMs(): number[] {
    return this.#recoveryMs.toSorted((a, b) => a - b);
  }

  get loginsSeen(): number {
    return this.#witness.logins.size;
  }

  get checkpointsSeen(): number {
    return this.#witness.checkpoints.length;
  }

  get lingered(): number {
    return this.#supervision.lingered;
  }

  get failedStarts(): number {
    return this.#supervision.failedStarts.length;
  }

  /** The life of one supervisor, from its start to its killing. */
  async epoch(untilMs: number, signal: AbortSignal): Promise<void> {
    if (this.#dice.below(3) === 0) {
      await this.#supervision.startAndKill(100 + this.#dice.below(2_500));
      this.#note("supervisor", "start");
    }
    const before = this.kills.length;
    const worn = (): boolean =>
      this.#mostKilled(before) >= killsOfOnePerSupervisor || performance.now() >= untilMs || signal.aborted;
    await this.#supervision.start(this.#nextPoint());
    await this.#recover(worn);
    for (let turn = 0; !worn(); turn += 1) {
      await this.#killOnce(turn);
      await this.#recover(worn);
    }
    if (await this.#supervision.kill("supervisor")) this.#note("supervisor", "at random");
  }

  /** Lets everything come to rest and looks. */
  async verdict(): Promise<Verdict> {
    await this.workload.stop();
    await this.#supervision.stop();
    await this.#supervision.start();
    const auditor = await this.#auditor();
    const verdict = await judge(this.#supervision.place, auditor, this.#witness, this.workload);
    await this.#witness.stop();
    return verdict;
  }

  /** The auditor, signed in; a connection from before may still lead to the process that is stopping. */
  async #auditor(): Promise<CardeaClient> {
    for (let turn = 1; ; turn += 1) {
      try {
        return await this.#supervision.people()("ada");
      } catch (error) {
        if (turn === 20 || !(error instanceof CardeaError) || error.code !== "unreachable") throw error;
        await sleep(250);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.workload.stop();
    await this.#witness.stop();
    await this.#supervision[Symbol.asyncDispose]();
  }

  /**
   * Every other supervisor lets the outpost come to one of its pause points, each in its turn: not the first time, so that recovering, which passes the
   * same point, gets somewhere. Under the others it must recover from whatever it is in.
   */
  #nextPoint(): string | undefined {
    this.#epochs += 1;
    if (this.#epochs % 2 === 0) return undefined;
    const point = pausePoints[Math.floor(this.#epochs / 2) % pausePoints.length];
    return `${String(point)}#${String(3 + this.#dice.below(6))}`;
  }

  /** How often the process was killed that was killed most since then. */
  #mostKilled(since: number): number {
    const victimsSince = this.kills.slice(since).map(({ victim }) => victim);
    return Math.max(0, ...victims.map((victim) => victimsSince.filter((one) => one === victim).length));
  }

  async #killOnce(turn: number): Promise<void> {
    if (turn % 3 === 0 && (await this.#pausedKill())) return;
    if (turn % 3 === 1 && (await this.#killAtGate())) return;
    await sleep(this.#dice.below(700));
    const among = victims.filter((victim) => victim !== "supervisor");
    const victim = among[this.#dice.below(among.length)] ?? "control";
    if (await this.#supervision.kill(victim)) this.#note(victim, "at random");
  }

  /** The outpost stands at one of the points where it was told to stop: it is killed there, whatever else goes on. */
  #killPaused(point: string): void {
    this.#pausedKills += 1;
    this.#killing = this.#killing.then(async () => {
      if (await this.#supervision.kill("outpost")) this.#note("outpost", point);
    });
  }

  /** Gives the outpost a while to come to such a point. */
  async #pausedKill(): Promise<boolean> {
    const before = this.#pausedKills;
    for (let waitedMs = 0; this.#pausedKills === before && waitedMs < 3_000; waitedMs += 20) await sleep(20);
    await this.#killing;
    return this.#pausedKills > before;
  }

  async #killAtGate(): Promise<boolean> {
    const gate = gates[this.#nextGate % gates.length];
    this.#nextGate += 1;
    if (gate === undefined) return false;
    const victim = this.#victimAt(gate);
    let killed = false;
    await atGate(gate, this.#supervision.place[gate.at], async () => {
      killed = await this.#supervision.kill(victim);
    });
    // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- set in the callback above
    if (killed) this.#note(victim, gate.name);
    return killed;
  }

  /** Mostly whoever waits before the gate, sometimes the server in which they wait. */
  #victimAt({ at }: Gate): Victim {
    if (this.#dice.below(4) === 0) return at;
    return at === "database" ? "control" : "outpost";
  }

  #note(victim: Victim, at: string): void {
    this.kills.push({ victim, at });
    this.#lastKillMs = performance.now();
    if (this.kills.length % 20 === 0)
      this.#say(
        `${String(this.kills.length)} kills, ${String(this.workload.counts.keys)} keys, ${String(this.#witness.logins.size)} logins seen`,
      );
  }

  /** Waits until a key is made again, or the supervisor is worn. @throws Error where neither is so for a minute after the last kill */
  async #recover(worn: () => boolean): Promise<void> {
    for (let last = "nothing was tried"; ;) {
      try {
        await this.workload.proveAlive();
        const tookMs = Math.round(performance.now() - this.#lastKillMs);
        this.#recoveryMs.push(tookMs);
        if (tookMs > slowRecoveryMs)
          this.#say(`slow: ${String(tookMs)} ms after ${JSON.stringify(this.kills.at(-1))}; last seen: ${last}`);
        return;
      } catch (error) {
        last = error instanceof Error ? error.message : String(error);
      }
      if (performance.now() - this.#lastKillMs > recoversWithinMs)
        throw new Error(`no key is made a minute after a kill (${JSON.stringify(this.kills.at(-1))}): ${last}`);
      if (worn()) return;
      await sleep(50);
    }
  }
}

function countBy(prefix: string, names: readonly string[], values: readonly string[]): Record<string, number> {
  return Object.fromEntries(
    names.map((name) => [`${prefix} ${name}`, values.filter((value) => value === name).length]),
  );
}
