/** A request as people read it: everything an approver must know, the digest code first. */
import type { RequestView } from "@cardea/core/contract/api/requests";
import { askedRole } from "@cardea/core/documents/request";
import type { Terminal } from "./terminal.ts";
import { oneLine, table } from "./table.ts";
import { relative } from "./times.ts";

export function requestTable(views: readonly RequestView[], terminal: Terminal, nowMs: number): string {
  if (views.length === 0) return "no requests";
  const rows = views.map((view) => [
    view.id,
    stateWords(view, terminal),
    view.requester.name,
    view.document.asked.resource,
    askedRole(view.document.asked.ask) ?? "(action)",
    view.document.asked.window.duration,
    relative(view.document.createdAt, nowMs),
    view.document.asked.justification,
  ]);
  return table(["request", "state", "by", "resource", "role", "for", "filed", "why"], rows, terminal.columns);
}

export function requestWords(view: RequestView, terminal: Terminal, nowMs: number): string {
  const { asked, decision, facts, createdAt } = view.document;
  const behind = asked.requester.onBehalfOf === undefined ? "" : ` (on behalf of ${asked.requester.onBehalfOf})`;
  const limits = [
    decision.limits.sessions === undefined ? undefined : `${String(decision.limits.sessions)} sessions`,
    decision.limits.uses === undefined ? undefined : `${String(decision.limits.uses)} uses`,
    decision.limits.sourceIps === undefined ? undefined : `from ${decision.limits.sourceIps.join(", ")}`,
  ].filter((part) => part !== undefined);
  const lines: (readonly [string, string])[] = [
    ["request", `${view.id}  ${terminal.style("bold", view.code)}`],
    ["state", stateWords(view, terminal)],
    ["by", `${view.requester.name} (${view.requester.kind})${behind}`],
    ["groups", facts.verified.groups.join(", ")],
    ["asks for", "role" in asked.ask ? `role ${asked.ask.role} on ${asked.resource}` : `${asked.ask.action.name} on ${asked.resource}`],
    ["window", `${decision.limits.duration}${asked.window.start === undefined ? " from approval" : ` from ${asked.window.start}`}, ${decision.via} key${limits.length > 0 ? `, ${limits.join(", ")}` : ""}`],
    ["why", asked.justification],
    ...(asked.ticket === undefined ? [] : [["ticket", asked.ticket] as const]),
    ...(asked.breakGlass === true ? [["emergency", "break-glass: allowed at once, reviewed afterwards"] as const] : []),
    ["filed", `${createdAt} (${relative(createdAt, nowMs)})`],
    ["decision", view.words],
    ...decision.reasons.map((reason) => ["", reason] as const),
    ...Object.keys(facts.asserted).map((name) => ["asserted", `${name} = ${JSON.stringify(facts.asserted[name])} (not verified)`] as const),
    ...view.votes.map(({ approver, vote, counts }) => [vote.verdict === "approve" ? "approved by" : "denied by", `${approver.name}, stage ${String(vote.stage)}, ${vote.at}${vote.comment === "" ? "" : `: ${vote.comment}`}${counts ? "" : " (does not count)"}`] as const),
    ...(view.state === "pending" ? view.stages.map((stage) => [`stage ${String(stage.stage)}`, `${stage.state}: ${stage.requirements.map(({ words, missing }) => `${words}${missing === 0 ? " (met)" : ""}`).join(" and ")}`] as const) : []),
    ...(view.grant === undefined ? [] : [["grant", `${view.grant.id} ${view.grant.state}${view.grant.why === undefined ? "" : ` (${view.grant.why})`} until ${view.grant.document.window.notAfter}`] as const]),
  ];
  return lines.map(([name, words]) => `${name.padEnd(12)}${oneLineUnlessOurs(words)}`).join("\n");
}

export function stateWords(view: RequestView, terminal: Terminal): string {
  const colour = { pending: "yellow", approved: "green", denied: "red", withdrawn: "gray", expired: "gray" } as const;
  return terminal.style(colour[view.state], view.state);
}

// Our own styles are escape sequences too; what people wrote was refused control characters when it was filed.
function oneLineUnlessOurs(words: string): string {
  return words.includes("\u001b[") ? words : oneLine(words);
}
