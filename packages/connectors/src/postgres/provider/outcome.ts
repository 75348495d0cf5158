/** What came of a transaction whose end nobody saw. */
import { z } from "zod";
import { readTrace, sinceSql, timelineSql } from "../spec/trace.ts";
import { hasState } from "./faults.ts";
import { quoteLiteral } from "./quoting.ts";
import { pause, rowsOf, type Server } from "./server.ts";

/** A backend whose client is gone goes on for a moment; one that waits for a replica, much longer. */
const patienceMs = 2_000;

const Row = z.object({ status: z.string().nullable(), timeline: z.string(), since: z.string().nullable() });

/** `unknown` where the server is still at it, has forgotten, or is not the one that began it. */
export async function outcomeOf(
  server: Server,
  trace: string,
  signal: AbortSignal,
): Promise<"done" | "failed" | "unknown"> {
  const known = readTrace(trace);
  if (known === undefined) return "unknown";
  const sql = `select pg_xact_status(${quoteLiteral(known.transaction)}::xid8) as status, ${timelineSql} as timeline, ${sinceSql} as since`;
  for (let waitedMs = 0, stepMs = 10; ; stepMs = Math.min(stepMs * 2, 200)) {
    let row: z.infer<typeof Row> | undefined;
    try {
      const [rows] = await server.read(server.home, sql, signal);
      [row] = rowsOf(Row, rows);
    } catch (error) {
      // 22023: an id that the server has not given out; it has lost what it knew, or is another one.
      if (hasState(error, "22023")) return "unknown";
      throw error;
    }
    if (row?.timeline !== known.timeline) return "unknown";
    // The server has crashed since, and may have given the id to somebody else.
    if (known.since !== undefined && known.since !== row.since) return "unknown";
    if (row.status === "committed") return "done";
    if (row.status === "aborted") return "failed";
    if (row.status === null || waitedMs >= patienceMs) return "unknown";
    await pause(stepMs, signal);
    waitedMs += stepMs;
  }
}
