/** The chapter about held statements: approved, in an open transaction, refused, withdrawn, and killed in the middle. */
import type { Stack } from "../dev/stack.ts";
import { HeldStory } from "./held-story.ts";
import { holds, type Narrator } from "./narrator.ts";
import type { Story } from "./story.ts";
import { TerminalProgram } from "./terminal.ts";

export async function heldStatements(tell: Narrator, stack: Stack, story: Story): Promise<void> {
  const lacking = await TerminalProgram.lacks("psql");
  if (lacking !== undefined) {
    tell.say(`- statements that wait for their approval are not shown: that takes ${lacking}`);
    return;
  }
  await using held = new HeldStory(stack, story);
  const psql = await tell.step(
    "alice opens psql with a key that only reads, through the gateway",
    async () => {
      const read = await story.ask("alice", "read", "10m", "order 7 has the wrong note", "gateway");
      return held.openPsql(await story.openKey(read));
    },
    () => "psql, in a terminal of its own",
  );
  await approvedAndRefused(tell, story, held, psql);
  await inTransaction(tell, story, held, psql);
  await withdrawn(tell, held, psql);
  await sessionKilled(tell, story, held, psql);
  await outpostKilled(tell, story, held);
}

async function approvedAndRefused(tell: Narrator, story: Story, held: HeldStory, psql: TerminalProgram): Promise<void> {
  const statement = "update orders set note = 'call first' where id = 7;";
  const waiting = await tell.step(
    "she types an update, which the key does not cover: it waits",
    () => held.waits(psql, statement),
    ({ notice }) => notice,
  );
  await tell.step(
    "bob sees exactly this statement and what it touches, and approves it",
    async () => {
      const words = held.touches(waiting);
      await story.approve("bob", waiting.view);
      return words;
    },
    (words) => words,
  );
  await tell.step(
    "it runs, once, in her session, which goes on",
    async () => {
      await psql.sees(/UPDATE 1\n/);
      holds((await held.noteOf(7)) === "call first", "the database has it");
      const { run } = await held.outcome("alice", waiting);
      holds(run?.state === "done" && run.rowCount === 1, "the run is done, with one row");
    },
    () => "UPDATE 1",
  );
  const again = await tell.step(
    "the same statement once more waits anew: the approval was for one run",
    () => held.waits(psql, statement),
    ({ view }) => `${view.id} (${view.code})`,
  );
  await tell.step(
    "bob says no; psql gets an error with his words, and the session goes on",
    async () => {
      await (
        await story.as("bob")
      ).vote(again.view.id, { verdict: "deny", digest: again.view.digest, comment: "once is enough" });
      const [words] = await psql.sees(/ERROR: .*\n(?:DETAIL.*\n|HINT.*\n)*/);
      holds(words.includes("once is enough"), `the refusal has bob's comment (${words})`);
      psql.type("select 6 * 7 as answer;");
      await psql.sees(/42\n/);
      return words.trim();
    },
    (words) => words,
  );
}

async function inTransaction(tell: Narrator, story: Story, held: HeldStory, psql: TerminalProgram): Promise<void> {
  await tell.step(
    "inside an open transaction: the approved statement is part of it, and rolls back with it",
    async () => {
      psql.type("begin;");
      await psql.sees(/BEGIN\n/);
      const waiting = await held.waits(psql, "update orders set note = 'never seen' where id = 8;");
      await story.approve("bob", waiting.view);
      await psql.sees(/UPDATE 1\n/);
      psql.type("rollback;");
      await psql.sees(/ROLLBACK\n/);
      holds((await held.noteOf(8)) === null, "nothing of it is left");
    },
    () => "BEGIN … UPDATE 1 … ROLLBACK",
  );
}

async function withdrawn(tell: Narrator, held: HeldStory, psql: TerminalProgram): Promise<void> {
  await tell.step(
    "Ctrl-C while it waits takes the request back",
    async () => {
      const waiting = await held.waits(psql, "delete from orders where id = 9;");
      psql.press("\u0003");
      const [words] = await psql.sees(/ERROR: .*\n/);
      const { state } = await held.outcome("alice", waiting);
      holds(state === "withdrawn", `the request is withdrawn (it is ${state})`);
      return `${words.trim()}; ${waiting.view.id} ${state}`;
    },
    (words) => words,
  );
}

async function sessionKilled(tell: Narrator, story: Story, held: HeldStory, psql: TerminalProgram): Promise<void> {
  await tell.step(
    "bob kills the session while a statement waits in it: nothing runs",
    async () => {
      const waiting = await held.waits(psql, "update orders set note = 'too late' where id = 10;");
      const session = waiting.view.document.asked.within?.session;
      holds(session !== undefined, "the request names its session");
      await (await story.as("bob")).endSession(session, "not this database");
      const [words] = await psql.sees(/FATAL: .*\n/);
      const { state, run } = await held.outcome("alice", waiting);
      holds(state !== "approved" && run === undefined, `the request is over, and nothing ran (it is ${state})`);
      holds((await held.noteOf(10)) === null, "the row is as it was");
      return `${words.trim()}; ${waiting.view.id} ${state}`;
    },
    (words) => words,
  );
}

async function outpostKilled(tell: Narrator, story: Story, held: HeldStory): Promise<void> {
  await tell.step(
    "the outpost is killed (kill -9) while an approved statement runs: what is said of it is what happened",
    async () => {
      const read = await story.ask("alice", "read", "10m", "order 11 has the wrong note", "gateway");
      const psql = await held.openPsql(await story.openKey(read));
      const letGo = await held.lockRow(11);
      try {
        const waiting = await held.waits(psql, "update orders set note = 'half way' where id = 11;");
        await story.approve("bob", waiting.view);
        await held.untilBlocked();
        held.killOutpost();
        await psql.sees(/connection to (?:the )?server was lost|server closed the connection/);
        const { run } = await held.outcome("alice", waiting);
        const happened = (await held.noteOf(11)) === "half way";
        holds(run !== undefined && (run.state === "done") === happened, "the run says what the database says");
        return `run ${run.id} ${run.state}; the row is ${happened ? "changed" : "as it was"}`;
      } finally {
        await letGo();
      }
    },
    (words) => words,
  );
}
