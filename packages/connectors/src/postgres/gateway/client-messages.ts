/**
 * What each message of a client means and whether it may go on. Everything that names or carries a statement is looked up among those
 * that were judged; what is refused is replaced by something that fails at the resource in its place, so that order, transaction state
 * and the rest of a pipeline are the resource's own (`pipeline.ts`).
 */
import type { Step } from "./client-side.ts";
import { readHeldGroup } from "./held-group.ts";
import type { Hold } from "./hold.ts";
import type { Judgements } from "./judgements.ts";
import { fromClient, headerSize, Malformed, textEnd, transaction, type Words } from "./messages.ts";
import { longestMessages, unknownMessage, type Longest } from "./message-lengths.ts";
import { owed } from "./owed.ts";
import { poisonedParse, poisonedQuery, type Pipeline } from "./pipeline.ts";
import { boundBefore, functionCallWords, tooLarge, tooMany, unknownPortal, unknownStatement } from "./refusal-words.ts";
import type { GatewayLimits } from "./settings.ts";
import type { Decision, Portal, Statement } from "./statement.ts";

const pass: Step = { go: "pass" };
const drop: Step = { go: "replace", by: undefined };
const stop: Step = { go: "stop" };

export class ClientMessages {
  readonly #pipeline: Pipeline;
  readonly #judgements: Judgements;
  readonly #hold: Hold;
  readonly #limits: GatewayLimits;
  readonly #longest: Readonly<Record<number, Longest>>;
  /** A statement runs that may change what the next one means, or may run code that does. */
  #changing = false;
  #doubting = false;
  /**
   * The group of messages before which everything was judged anew, while a transaction is open that may still take such a change back:
   * then nothing judged is kept from one group to the next.
   */
  #movedAt: number | undefined;
  /** What the client sends as COPY data is recorded with it. */
  #lastAction = 0;

  constructor(pipeline: Pipeline, judgements: Judgements, hold: Hold, limits: GatewayLimits) {
    this.#pipeline = pipeline;
    this.#judgements = judgements;
    this.#hold = hold;
    this.#limits = limits;
    this.#longest = longestMessages(limits.statementBytes);
  }

  longest(type: number): Longest {
    return this.#longest[type] ?? unknownMessage;
  }

  get recorderPause(): Promise<void> | undefined {
    return this.#pipeline.recording.pause;
  }

  /** Whether COPY data may go by without a look. */
  get takesData(): boolean {
    return !this.#pipeline.skipping;
  }

  /** Whether an approved statement runs: only what it asks for passes, but that must not wait. */
  get settling(): boolean {
    return this.#hold.running;
  }

  data(bytes: Buffer): void {
    this.#pipeline.recording.data("input", this.#lastAction, bytes);
  }

  /** One whole message. @throws Malformed */
  take(type: number, bytes: Buffer, at: number, end: number): Step {
    if (this.#pipeline.skipping && type !== fromClient.sync && type !== fromClient.terminate) return drop;
    switch (type) {
      case fromClient.query:
        return this.#ready(false) ?? this.#query(bytes, at, end);
      case fromClient.parse:
        return this.#ready(false) ?? this.#parse(bytes, at, end);
      case fromClient.bind:
        return this.#ready(false) ?? this.#bind(bytes, at, end, true);
      case fromClient.execute:
        return this.#ready(false) ?? this.#execute(bytes, at, end);
      case fromClient.describe:
        return this.#ready(true) ?? this.#describe();
      case fromClient.close:
        return this.#ready(true) ?? this.#close(bytes, at, end);
      case fromClient.flush:
        return this.#ready(true) ?? this.#flush();
      case fromClient.sync:
        return this.#sync();
      case fromClient.copyDone:
      case fromClient.copyFail:
        return this.#copyEnd();
      case fromClient.functionCall:
        return this.#refuseQuery("(function call)", functionCallWords);
      case fromClient.terminate:
        return stop;
      default:
        return drop; // COPY data of a group that is skipped
    }
  }

  /** The beginning of a message that is too large to be looked at as a whole. */
  takeLarge(type: number, bytes: Buffer, at: number, to: number): Step {
    if (this.#pipeline.skipping) return drop;
    switch (type) {
      case fromClient.bind:
        return this.#ready(false) ?? this.#bind(bytes, at, to, false);
      case fromClient.parse:
        return this.#ready(false) ?? this.#refuse("(too large)", tooLarge(this.#limits.statementBytes));
      case fromClient.functionCall:
        return this.#refuseQuery("(function call)", functionCallWords);
      default:
        return this.#ready(false) ?? this.#refuseQuery("(too large)", tooLarge(this.#limits.statementBytes));
    }
  }

  /** Where something must end first: the step that waits for it. `harmless`: the message neither judges nor runs anything. */
  #ready(harmless: boolean): Step | undefined {
    if (this.#hold.running) return { go: "stand", until: (again) => this.#hold.whenSettled(again) };
    if (harmless || this.#hold.approved !== undefined) return undefined;
    if (this.#changing || (this.#movedAt !== undefined && this.#movedAt !== this.#pipeline.group)) {
      return this.#quiet(() => {
        const settled = this.#pipeline.status === transaction.idle && !this.#pipeline.groupOpen;
        this.#changing = false;
        this.#doubting = false;
        this.#movedAt = settled ? undefined : this.#pipeline.group;
        this.#judgements.changed(!settled);
      });
    }
    if (this.#doubting) {
      return {
        go: "stand",
        until: (again) =>
          this.#pipeline.quiet(false, () => {
            this.#doubting = false;
            // With ReadyForQuery newer servers have told of it.
            if (this.#judgements.pathIsReported && !this.#pipeline.groupOpen) again();
            else this.#judgements.lookWhetherMoved().then(again, again);
          }),
      };
    }
    return this.#pipeline.owed.size > this.#limits.pipeline ? this.#quiet(() => undefined) : undefined;
  }

  #quiet(then: () => void): Step {
    return {
      go: "stand",
      until: (again) =>
        this.#pipeline.quiet(false, () => {
          then();
          again();
        }),
    };
  }

  #query(bytes: Buffer, at: number, end: number): Step {
    const [from, to] = [at + headerSize, end - 1];
    if (textEnd(bytes, from, end) !== to) throw new Malformed("a query");
    const found = this.#hold.approved ?? this.#judgements.find({ bytes, from, to, typesTo: to });
    if (!("decision" in found)) return awaiting(found);
    const { decision } = found;
    const text = bytes.toString("utf8", from, to);
    if (decision.is === "denied") return this.#refuseQuery(text, decision.words);
    const ruling = decision.is === "held" ? this.#hold.ruling(found) : undefined;
    if (decision.is === "held" && ruling === undefined) return this.#hold.ask(found, []);
    if (ruling?.is === "refused") return this.#refuseQuery(text, ruling.words);
    const action = ruling?.action ?? this.#pipeline.recording.next();
    this.#pipeline.recording.action(action, text, undefined, ruling !== undefined, decision.uses);
    this.#pipeline.owed.push(owed("query", { action }));
    this.#began(action, decision);
    this.#pipeline.group += 1;
    this.#pipeline.groupOpen = false;
    if (ruling !== undefined) this.#hold.groupEnded(true);
    return pass;
  }

  #parse(bytes: Buffer, at: number, end: number): Step {
    const nameEnd = textEnd(bytes, at + headerSize, end);
    const to = nameEnd < 0 ? -1 : textEnd(bytes, nameEnd + 1, end);
    if (to < 0 || end < to + 3 || end !== to + 3 + 4 * bytes.readUInt16BE(to + 1)) throw new Malformed("a Parse");
    const found = this.#hold.approved ?? this.#judgements.find({ bytes, from: nameEnd + 1, to, typesTo: end });
    if (!("decision" in found)) return awaiting(found);
    if (found.decision.is === "denied") return this.#refuse(found.text, found.decision.words);
    const kept = this.#keptBack(found, bytes, at);
    if (kept !== undefined) return kept;
    const name = bytes.toString("utf8", at + headerSize, nameEnd);
    const { statements } = this.#pipeline;
    if (statements.size >= this.#limits.prepared && name !== "")
      return this.#refuse(found.text, tooMany(this.#limits.prepared, "prepared statements"));
    const item = owed("parse", { name, statement: found });
    this.#pipeline.owed.push(item);
    statements.sent(item, found, this.#pipeline.group);
    this.#pipeline.groupOpen = true;
    return pass;
  }

  #bind(bytes: Buffer, at: number, to: number, whole: boolean): Step {
    const portalEnd = textEnd(bytes, at + headerSize, to);
    const nameEnd = portalEnd < 0 ? -1 : textEnd(bytes, portalEnd + 1, to);
    if (nameEnd < 0) throw new Malformed("a Bind");
    const name = bytes.toString("utf8", portalEnd + 1, nameEnd);
    const known = this.#pipeline.statements.find(name, this.#pipeline.group);
    if (known === "unsure") return this.#quiet(() => undefined);
    if (known === undefined) return this.#refuse("(bind)", unknownStatement(name));
    const found = this.#hold.approved ?? this.#judgements.refresh(known);
    if (!("decision" in found)) return awaiting(found);
    if (found.decision.is === "denied") return this.#refuse(found.text, found.decision.words);
    if (found.decision.is === "held" && !whole) return this.#refuse(found.text, tooLarge(this.#limits.statementBytes));
    const kept = this.#keptBack(found, bytes, at);
    if (kept !== undefined) return kept;
    const portal = bytes.toString("utf8", at + headerSize, portalEnd);
    const { portals, recording } = this.#pipeline;
    if (portals.size >= this.#limits.prepared && portal !== "")
      return this.#refuse(found.text, tooMany(this.#limits.prepared, "open portals"));
    // Kept beyond this message, a view would keep everything alive that was received with it.
    const view = whole ? bytes.subarray(nameEnd + 1, to) : undefined;
    const parameters = portal === "" || view === undefined ? view : Buffer.from(view);
    const ruling = found.decision.is === "held" ? this.#hold.ruling(found) : undefined;
    const action = ruling?.is === "run" ? ruling.action : recording.next();
    const opened: Portal = { statement: found, action, parameters, executed: false };
    if (view === undefined) {
      this.#lastAction = opened.action;
      this.data(bytes.subarray(nameEnd + 1, to));
    }
    const item = owed("bind", { name: portal, portal: opened });
    this.#pipeline.owed.push(item);
    portals.sent(item, opened, this.#pipeline.group);
    this.#pipeline.groupOpen = true;
    return pass;
  }

  #execute(bytes: Buffer, at: number, end: number): Step {
    const nameEnd = textEnd(bytes, at + headerSize, end);
    if (nameEnd < 0 || end !== nameEnd + 5) throw new Malformed("an Execute");
    const name = bytes.toString("utf8", at + headerSize, nameEnd);
    const portal = this.#pipeline.portals.find(name, this.#pipeline.group);
    if (portal === "unsure") return this.#quiet(() => undefined);
    if (portal === undefined) return this.#refuse("(execute)", unknownPortal(name));
    const found = this.#hold.approved ?? this.#judgements.refresh(portal.statement);
    if (!("decision" in found)) return awaiting(found);
    const { decision } = found;
    if (decision.is === "denied") return this.#refuse(found.text, decision.words);
    const ruling = decision.is === "held" ? this.#hold.ruling(found) : undefined;
    if (decision.is === "held" && ruling?.is !== "run") return this.#refuse(found.text, boundBefore);
    const { recording } = this.#pipeline;
    const action = portal.executed ? recording.next() : portal.action;
    portal.executed = true;
    recording.action(action, found.text, portal.parameters, ruling !== undefined, decision.uses);
    this.#pipeline.owed.push(owed("execute", { action }));
    this.#pipeline.groupOpen = true;
    this.#began(action, decision);
    return pass;
  }

  #describe(): Step {
    this.#pipeline.owed.push(owed("describe"));
    this.#pipeline.groupOpen = true;
    return pass;
  }

  #close(bytes: Buffer, at: number, end: number): Step {
    const nameEnd = textEnd(bytes, at + headerSize + 1, end);
    const isStatement = bytes[at + headerSize] === 0x53; // S, else P
    if (nameEnd !== end - 1) throw new Malformed("a Close");
    const item = owed(isStatement ? "closeStatement" : "closePortal", {
      name: bytes.toString("utf8", at + headerSize + 1, nameEnd),
    });
    this.#pipeline.owed.push(item);
    (isStatement ? this.#pipeline.statements : this.#pipeline.portals).sent(item, undefined, this.#pipeline.group);
    this.#pipeline.groupOpen = true;
    return pass;
  }

  #sync(): Step {
    this.#pipeline.skipping = false;
    // The server ignores a Sync among COPY data.
    if (this.#pipeline.copyIn) return pass;
    this.#pipeline.owed.push(owed("sync"));
    this.#pipeline.group += 1;
    this.#pipeline.groupOpen = false;
    this.#hold.groupEnded(true);
    return pass;
  }

  #flush(): Step {
    this.#hold.groupEnded(false);
    return pass;
  }

  #copyEnd(): Step {
    if (this.#pipeline.copyIn) this.#pipeline.copyIn = false;
    else if (this.#pipeline.owed.size > 0) this.#pipeline.owed.push(owed("copyEnd"));
    return pass;
  }

  /** A held statement's messages, from its Parse or Bind on: undefined where they may go on now. */
  #keptBack(found: Statement, bytes: Buffer, at: number): Step | undefined {
    if (found.decision.is !== "held") return undefined;
    const ruling = this.#hold.ruling(found);
    if (ruling !== undefined) return ruling.is === "run" ? undefined : this.#refuse(found.text, ruling.words);
    const group = readHeldGroup(bytes, at);
    switch (group.is) {
      case "preparation":
        return undefined;
      case "incomplete":
        return group.wanted > this.#limits.statementBytes
          ? this.#refuse(found.text, tooLarge(this.#limits.statementBytes))
          : { go: "more", wanted: group.wanted };
      case "mixed":
        return this.#refuse(found.text, group.words);
      case "execution":
        return this.#hold.ask(found, group.params);
    }
  }

  #began(action: number, decision: Exclude<Decision, { is: "denied" }>): void {
    this.#lastAction = action;
    if (decision.changes) this.#changing = true;
    if (decision.mayMove === true) this.#doubting = true;
    if (decision.is === "covered" && decision.forgets !== undefined) {
      this.#pipeline.statements.forget(decision.forgets.statements);
      this.#pipeline.portals.forget(decision.forgets.portals);
    }
    if (decision.is === "held") this.#hold.executing();
    if (decision.is !== "covered" || decision.begins !== true) this.#pipeline.ranInGroup = this.#pipeline.group;
  }

  #refuseQuery(text: string, words: Words): Step {
    this.#pipeline.recording.refused(text, words.message);
    this.#pipeline.owed.push(owed("query", { words }));
    this.#pipeline.group += 1;
    this.#pipeline.groupOpen = false;
    return { go: "replace", by: poisonedQuery };
  }

  #refuse(text: string, words: Words): Step {
    this.#pipeline.recording.refused(text, words.message);
    this.#pipeline.owed.push(owed("refusal", { words }));
    this.#pipeline.groupOpen = true;
    this.#pipeline.skipping = true;
    return { go: "replace", by: poisonedParse };
  }
}

function awaiting(known: Promise<void>): Step {
  return { go: "stand", until: (again) => void known.then(again, again) };
}
