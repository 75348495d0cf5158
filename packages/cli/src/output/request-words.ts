/** A request as people read it: everything an approver must know, the digest code first. */
import type { RequestView } from "@cardea/core/wire/api/requests";
import { actionLines, previewLines, type Line } from "./action-words.ts";
import { oneLine } from "./clean.ts";
import { runWords } from "./run-words.ts";
import { fields, table } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { relative } from "./times.ts";

export function requestTable(views: readonly RequestView[], terminal: Terminal, nowMs: number): string {
  if (views.length === 0) return "no requests";
  const rows = views.map((view) => [
    view.id,
    stateWords(view, terminal),
    view.requester.name,
    wishWords(view),
    relative(view.document.createdAt, nowMs),
    view.document.asked.justification,
  ]);
  return table(["request", "state", "by", "asks for", "filed", "why"], rows, terminal.columns);
}

/** What is asked for, in few words. */
function wishWords({ document: { asked } }: RequestView): string {
  return "role" in asked.ask
    ? `${asked.ask.role} on ${asked.resource}, ${asked.window.duration}`
    : `${asked.ask.action.name} on ${asked.resource}, once`;
}

/** @param columns of where it is shown */
export function requestWords(
  view: RequestView,
  terminal: Terminal,
  nowMs: number,
  columns: number = terminal.columns,
): string {
  const { asked, decision, facts, createdAt } = view.document;
  const behind = asked.requester.onBehalfOf === undefined ? "" : ` (on behalf of ${asked.requester.onBehalfOf})`;
  return fields(
    [
      ["request", `${view.id}  ${terminal.style("bold", view.code)}`],
      ["state", `${stateWords(view, terminal)}${view.why === undefined ? "" : ` (${view.why})`}`],
      ["by", `${view.requester.name} (${view.requester.kind})${behind}`],
      ["groups", facts.verified.groups.join(", ")],
      ...("role" in asked.ask
        ? [["asks for", `role ${asked.ask.role} on ${asked.resource}`] as const]
        : [
            ["asks for", `${terminal.style("bold", asked.ask.action.name)} on ${asked.resource}, once`] as const,
            ...actionLines(asked.ask.action, terminal, columns),
            ...previewLines(view, terminal),
            ...optional("session", asked.within?.session),
          ]),
      ["window", windowWords(view)],
      ["why", asked.justification],
      ...optional("ticket", asked.ticket),
      ...optional("extends", asked.extends),
      ...optional(
        "emergency",
        asked.breakGlass === true ? "break-glass: allowed at once, reviewed afterwards" : undefined,
      ),
      ["filed", `${createdAt} (${relative(createdAt, nowMs)})`],
      ["decision", view.words],
      ...decision.reasons.filter((reason) => !view.words.includes(reason)).map((reason): Line => ["", reason]),
      ...Object.keys(facts.asserted).map((name): Line => [
        "asserted",
        `${name} = ${JSON.stringify(facts.asserted[name])} (not verified)`,
      ]),
      ...voteLines(view),
      ...stageLines(view),
      ...optional("grant", grantWords(view)),
      ...optional("run", view.run === undefined ? undefined : runWords(view.run, terminal)),
    ],
    columns,
  );
}

/** Who a pending request waits for, as `1 of dba (bob, carol)`. */
export function waitingFor(view: RequestView): string {
  const open = view.stages.find((stage) => stage.state === "open");
  const words = open?.requirements
    .filter(({ missing }) => missing > 0)
    .map(({ words: needed, candidates }) => {
      const names = candidates.slice(0, 4).map(({ name }) => name);
      return names.length === 0 ? needed : `${needed} (${names.join(", ")}${candidates.length > 4 ? ", …" : ""})`;
    });
  return words === undefined || words.length === 0 ? "a decision" : words.join(" and ");
}

/** Who said what, as news: `approved by bob: fine`. */
export function voteWords({ approver, vote }: RequestView["votes"][number]): string {
  return oneLine(
    `${vote.verdict === "approve" ? "approved" : "denied"} by ${approver.name}${vote.comment === "" ? "" : `: ${vote.comment}`}`,
  );
}

/** Who denied it and why, to stand behind "was denied". */
export function denialWords(view: RequestView): string {
  const denial = view.votes.findLast(({ vote }) => vote.verdict === "deny");
  if (denial === undefined) return view.why === undefined ? "" : ` (${view.why})`;
  return ` by ${denial.approver.name}${denial.vote.comment === "" ? "" : `: ${denial.vote.comment}`}`;
}

function stateWords(view: RequestView, terminal: Terminal): string {
  const colour = { pending: "yellow", approved: "green", denied: "red", withdrawn: "gray", expired: "gray" } as const;
  return terminal.style(colour[view.state], view.state);
}

function windowWords({ document: { asked, decision } }: RequestView): string {
  const { duration, sessions, uses, sourceIps } = decision.limits;
  if ("action" in asked.ask) {
    const once = asked.within === undefined ? `runs once, within ${duration} of approval` : "the session waits with it";
    return [once, ...(sourceIps === undefined ? [] : [`from ${sourceIps.join(", ")}`])].join(", ");
  }
  return [
    `${duration} from ${asked.window.start ?? "approval"}`,
    `${decision.via} key`,
    ...(sessions === undefined ? [] : [`${sessions} sessions`]),
    ...(uses === undefined ? [] : [`${uses} uses`]),
    ...(sourceIps === undefined ? [] : [`from ${sourceIps.join(", ")}`]),
  ].join(", ");
}

function voteLines(view: RequestView): Line[] {
  return view.votes.map(({ approver, vote, counts }) => {
    const narrowed = vote.narrowing === undefined ? "" : `, only ${narrowingWords(vote.narrowing)}`;
    const comment = vote.comment === "" ? "" : `: ${vote.comment}`;
    return [
      vote.verdict === "approve" ? "approved" : "denied",
      `by ${approver.name}, stage ${vote.stage}, ${vote.at}${narrowed}${counts ? "" : " (does not count)"}${comment}`,
    ];
  });
}

function narrowingWords({
  duration,
  permissions,
  sourceIps,
}: NonNullable<RequestView["votes"][number]["vote"]["narrowing"]>): string {
  return [
    ...(duration === undefined ? [] : [`for ${duration}`]),
    ...(sourceIps === undefined ? [] : [`from ${sourceIps.join(", ")}`]),
    ...(permissions === undefined
      ? []
      : [
          permissions
            .map(({ name, facets }) => (facets === undefined ? name : `${name} ${JSON.stringify(facets)}`))
            .join(", "),
        ]),
  ].join(", ");
}

function stageLines(view: RequestView): Line[] {
  if (view.state !== "pending") return [];
  return view.stages.map((stage) => {
    const requirements = stage.requirements.map(({ words, missing, candidates }) => {
      if (missing === 0) return `${words} (met)`;
      return stage.state === "open" && candidates.length > 0
        ? `${words} (${candidates.map(({ name }) => name).join(", ")})`
        : words;
    });
    return [`stage ${stage.stage}`, `${stage.state}: ${requirements.join(" and ")}`];
  });
}

function grantWords({ grant }: RequestView): string | undefined {
  if (grant === undefined) return undefined;
  const why = [grant.why, grant.detail].filter((part) => part !== undefined).join(": ");
  return `${grant.id} ${grant.state}${why === "" ? "" : ` (${why})`}, ${grant.document.window.notBefore} to ${grant.document.window.notAfter}`;
}

function optional(name: string, words: string | undefined): Line[] {
  return words === undefined ? [] : [[name, words]];
}
