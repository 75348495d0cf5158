/**
 * Says of a script whether anything in it reached beyond its grant. What the gateway let through ran as a superuser: so it must have brought no
 * canary back, changed nothing outside, and locked nothing there that a login with just the grant's privileges would not lock as well. And that
 * login, given the same statements natively, must not be refused for want of a privilege: then the judgement was wider than the grant.
 */
import type { Field } from "./field.ts";
import type { Scope } from "./ground.ts";
import type { Answer, Speaker, Unit } from "./speaker.ts";

export interface Script {
  readonly scope: Scope;
  /** Run inside a transaction that is rolled back, in which locks can be seen. */
  readonly inTransaction: boolean;
  readonly units: readonly Unit[];
}

export interface Finding {
  readonly kind: "reads" | "changes" | "touches" | "wider than the grant" | "hangs";
  readonly what: string;
}

/** How a script went: units that the gateway let through, its refusals by code, and what is wrong. */
export interface Trial {
  readonly passed: number;
  readonly refused: readonly string[];
  readonly finding: Finding | undefined;
}

export class Oracle implements Disposable {
  readonly #field: Field;
  /** Test of the oracle itself: past the gateway, where everything goes. */
  readonly #unjudged: boolean;
  readonly #wide = new Map<string, Speaker>();
  /** What each scope's state was after the last script that may have changed something. */
  readonly #states = new Map<string, string>();
  readonly #narrow = new Map<string, Speaker>();

  constructor(field: Field, unjudged = false) {
    this.#field = field;
    this.#unjudged = unjudged;
  }

  async try(script: Script): Promise<Trial> {
    const speaker = await this.#session(script.scope);
    const before = this.#states.get(script.scope.role) ?? (await this.#field.state(script.scope));
    const refused: string[] = [];
    const through: Unit[] = [];
    let finding: Finding | undefined;
    let comparable = true;
    let mayHaveChanged = false;
    let alive = true;
    if (script.inTransaction) await speaker.say(begin);
    const answers: Answer[] = [];
    for (const unit of script.units) {
      const answer = await speaker.say(unit);
      answers.push(answer);
      const ours = answer.refusals.filter(({ by }) => by === "gateway");
      refused.push(...ours.map(({ code }) => code));
      finding ??= this.#reads(answer);
      if (answer.end === "late" && (await this.#field.isIdle(speaker.process)))
        finding ??= { kind: "hangs", what: "the resource has answered and the client waits" };
      // A unit may have been let through in part; then the narrow login cannot follow.
      if (ours.length === 0) through.push(unit);
      else if (answer.types !== plainRefusal(answer)) comparable = false;
      if (answer.types.replaceAll(/\bE\/\w+|Z\/\w|\s/g, "") !== "") mayHaveChanged = true;
      if (answer.end !== "ready") {
        alive = false;
        break;
      }
    }
    const locks = alive && mayHaveChanged ? await this.#field.locks(script.scope, speaker.process) : [];
    if (alive) alive = await reset(speaker, mayHaveChanged);
    if (!alive) this.#forget(script.scope);
    if (mayHaveChanged || !alive) {
      const state = await this.#field.state(script.scope);
      if (state !== before) finding ??= { kind: "changes", what: difference(before, state) };
      // One scope may change what another may not.
      this.#states.clear();
      this.#states.set(script.scope.role, state);
    }
    if (finding === undefined && comparable && through.length > 0)
      finding = await this.#compare(script, through, answers, locks);
    else if (finding === undefined && locks.length > 0) finding = { kind: "touches", what: locks.join(", ") };
    return { passed: through.length, refused, finding };
  }

  /** What a script changed outside is no longer counted against the next. */
  settle(): void {
    this.#states.clear();
  }

  [Symbol.dispose](): void {
    for (const speaker of this.#wide.values()) speaker.close();
    for (const speaker of this.#narrow.values()) speaker.close();
  }

  #reads({ said }: Answer): Finding | undefined {
    const { text, hash } = this.#field.canaries;
    const at = [text, hash].map((canary) => said.indexOf(canary)).find((index) => index >= 0);
    return at === undefined
      ? undefined
      : { kind: "reads", what: JSON.stringify(said.slice(Math.max(0, at - 40), at + 30)) };
  }

  async #compare(
    script: Script,
    units: readonly Unit[],
    answers: readonly Answer[],
    locks: readonly string[],
  ): Promise<Finding | undefined> {
    let speaker = this.#narrow.get(script.scope.role);
    if (speaker === undefined) {
      speaker = await this.#field.narrow(script.scope);
      this.#narrow.set(script.scope.role, speaker);
      this.#states.clear();
    }
    if (script.inTransaction) await speaker.say(begin);
    let finding: Finding | undefined;
    let alike = true;
    let alive = true;
    for (const unit of units) {
      const wide = answers[script.units.indexOf(unit)];
      // In a transaction that has failed nothing was run.
      if (wide?.refusals.some(({ code }) => code === "25P02") === true) break;
      const answer = await speaker.say(unit);
      const lacking = answer.refusals.find(({ code }) => code === "42501");
      if (lacking !== undefined && wide?.refusals.some(({ code }) => code === "42501") !== true)
        finding ??= { kind: "wider than the grant", what: lacking.message };
      alive = answer.end === "ready";
      alike &&= wide?.refusals.length === answer.refusals.length;
      if (!alive || !alike) break;
    }
    const also = alive && alike ? await this.#field.locks(script.scope, speaker.process) : undefined;
    if (alive) alive = await reset(speaker, true);
    if (!alive) {
      speaker.close();
      this.#narrow.delete(script.scope.role);
    }
    const beyond = locks.filter((lock) => also?.includes(lock) !== true);
    return (
      finding ?? (also !== undefined && beyond.length > 0 ? { kind: "touches", what: beyond.join(", ") } : undefined)
    );
  }

  async #session(scope: Scope): Promise<Speaker> {
    const known = this.#wide.get(scope.role);
    if (known !== undefined) return known;
    const speaker = this.#unjudged ? await this.#field.unjudged() : await this.#field.wide(scope);
    this.#wide.set(scope.role, speaker);
    // A session's login may need privileges that were not given before.
    this.#states.clear();
    return speaker;
  }

  #forget({ role }: Scope): void {
    this.#wide.get(role)?.close();
    this.#wide.delete(role);
  }
}

const begin: Unit = { kind: "simple", text: "begin" };

/** Back to how the session began; whether it worked. */
async function reset(speaker: Speaker, thorough: boolean): Promise<boolean> {
  const undone = await speaker.say({ kind: "simple", text: "rollback" });
  if (undone.end !== "ready" || !undone.types.endsWith("Z/I")) return false;
  if (!thorough) return true;
  const discarded = await speaker.say({ kind: "simple", text: "discard all" });
  return discarded.end === "ready" && discarded.refusals.length === 0;
}

function plainRefusal({ refusals, types }: Answer): string {
  return `E/${refusals[0]?.code ?? ""} ${types.slice(types.lastIndexOf("Z/"))}`;
}

/** Where two states part. */
function difference(before: string, after: string): string {
  const [old, now] = [before, after].map((text) => text.split(/(?<=[,{[\]}])/));
  const at = now?.findIndex((part, index) => part !== old?.[index]) ?? -1;
  return `${(old ?? [])
    .slice(at, at + 3)
    .join("")
    .slice(0, 200)} → ${(now ?? [])
    .slice(at, at + 3)
    .join("")
    .slice(0, 200)}`;
}
