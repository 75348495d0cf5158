/** Runs of approved actions in words. */
import type { RunView } from "@cardea/core/wire/api/runs";
import type { Terminal } from "./terminal.ts";

const colours = { intended: "yellow", running: "yellow", done: "green", failed: "red", unknown: "red" } as const;

/** `done, 1 row`; `failed (23505: …)`. */
export function runWords(run: RunView, terminal: Terminal): string {
  const state = terminal.style(colours[run.state], run.state);
  const words = [
    state,
    ...(run.rowCount === undefined ? [] : [`${run.rowCount} ${run.rowCount === 1 ? "row" : "rows"}`]),
    ...(run.error === undefined ? [] : [`${run.error.code}: ${run.error.message}`]),
    ...(run.resolved === undefined
      ? []
      : [`found out${run.resolved.by === undefined ? "" : ` by ${run.resolved.by.name}`}`]),
    ...(run.resolved?.comment === undefined ? [] : [run.resolved.comment]),
    ...(run.state === "unknown" ? ["it may have happened, and is never tried again"] : []),
  ];
  return words.join(", ");
}
