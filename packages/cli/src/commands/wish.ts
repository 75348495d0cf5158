import type { Command } from "commander";
import type { SubmitRequest } from "@cardea/core/contract/api/requests";
import { CardeaError } from "@cardea/core/contract/errors";
import { GrantId } from "@cardea/core/contract/ids";
import { parseDuration } from "@cardea/core/lib/duration";

/** The options by which every asking command says what it asks for. */
export interface WishOptions {
  readonly role?: string;
  readonly for?: string;
  readonly why?: string;
  readonly ticket?: string;
  readonly start?: string;
  readonly via?: string;
  readonly sessions?: string;
  readonly sourceIp?: string[];
  readonly breakGlass?: boolean;
  readonly timeout?: string;
  readonly wait?: boolean;
  readonly extends?: string;
}

export function withWishOptions(command: Command): Command {
  return command
    .option("--role <role>", "the role to ask for", "read")
    .option("--for <duration>", "how long, such as 30m or 2h", "1h")
    .option("--why <text>", "the justification that approvers and auditors read", "")
    .option("--ticket <id>", "the ticket that it is for")
    .option("--start <time>", "when the window begins (RFC 3339); default: on approval")
    .option("--via <way>", "gateway or direct")
    .option("--sessions <n>", "sessions open at once")
    .option("--source-ip <cidr...>", "addresses it may be used from")
    .option("--break-glass", "an emergency: allowed at once where policy says so, reviewed afterwards")
    .option("--timeout <duration>", "stop waiting after this long (exit 4); the request stays");
}

/** The request that the options describe. @throws CardeaError `usage` */
export function wishOf(resource: string, options: WishOptions): Omit<SubmitRequest, "deliverTo"> {
  const start = options.start === undefined ? undefined : new Date(options.start);
  if (start !== undefined && Number.isNaN(start.getTime())) throw new CardeaError("usage", `--start: \`${options.start ?? ""}\` is no time, write for example 2026-12-24T08:00:00Z`);
  const via = options.via;
  if (via !== undefined && via !== "gateway" && via !== "direct") throw new CardeaError("usage", `--via: \`${via}\` is neither gateway nor direct`);
  const sessions = options.sessions === undefined ? undefined : wholeNumber("--sessions", options.sessions);
  const limits = { ...(sessions !== undefined && { sessions }), ...(options.sourceIp !== undefined && { sourceIps: options.sourceIp }) };
  return {
    resource,
    ask: { role: options.role ?? "read" },
    justification: options.why ?? "",
    window: { duration: duration("--for", options.for ?? "1h"), ...(start !== undefined && { start: start.toISOString() as NonNullable<SubmitRequest["window"]["start"]> }) },
    ...(options.ticket !== undefined && { ticket: options.ticket }),
    ...(via !== undefined && { via }),
    ...(Object.keys(limits).length > 0 && { limits }),
    ...(options.breakGlass === true && { breakGlass: true as const }),
    ...(options.extends !== undefined && { extends: GrantId.parse(options.extends) }),
  };
}

/** When waiting ends, by `--timeout`. */
export function waitLimit(options: WishOptions, nowMs: number): { readonly untilMs?: number } {
  if (options.timeout === undefined) return {};
  const parsed = parseDuration(options.timeout);
  if (!parsed.ok) throw new CardeaError("usage", `--timeout: ${parsed.detail}`);
  return { untilMs: nowMs + parsed.value };
}

export function duration(option: string, text: string): string {
  const parsed = parseDuration(text);
  if (!parsed.ok) throw new CardeaError("usage", `${option}: ${parsed.detail}`);
  return text;
}

export function wholeNumber(option: string, text: string): number {
  if (!/^[1-9][0-9]{0,6}$/.test(text)) throw new CardeaError("usage", `${option}: \`${text}\` is not a whole number above zero`);
  return Number(text);
}
