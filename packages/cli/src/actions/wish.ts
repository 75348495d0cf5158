/** What the options of an asking command come to. */
import type { SubmitRequest } from "@cardea/core/wire/api/requests";
import { CardeaError } from "@cardea/core/contract/errors";
import { toTime, type Time } from "@cardea/core/documents/primitives";
import { parseDuration } from "@cardea/core/lib/duration";
import type { WishOptions } from "../commands/wish-options.ts";
import type { WaitLimit } from "../keys/obtain.ts";
import { grantId } from "./ids.ts";

const defaultWindow = "1h";

/** The request that the options describe. @throws CardeaError `usage` */
export function wishOf(
  resource: string,
  options: WishOptions & { readonly extends?: string },
): Omit<SubmitRequest, "deliverTo"> {
  const { role, why, ticket, via } = options;
  const limits = {
    ...(options.sessions !== undefined && { sessions: wholeNumber("--sessions", options.sessions) }),
    ...(options.sourceIp !== undefined && { sourceIps: options.sourceIp }),
  };
  return {
    resource,
    ask: { role },
    justification: why,
    window: {
      duration: duration("--for", options.for ?? defaultWindow),
      ...(options.start !== undefined && { start: instant("--start", options.start) }),
    },
    ...(ticket !== undefined && { ticket }),
    ...(via !== undefined && { via }),
    ...(Object.keys(limits).length > 0 && { limits }),
    ...(options.breakGlass === true && { breakGlass: true as const }),
    ...(options.extends !== undefined && { extends: grantId(options.extends) }),
  };
}

/** When waiting ends, by `--timeout`. @throws CardeaError `usage` */
export function waitLimit({ timeout }: { readonly timeout?: string }, nowMs: number): WaitLimit {
  if (timeout === undefined) return {};
  const parsed = parseDuration(timeout);
  if (!parsed.ok) throw new CardeaError("usage", `--timeout: ${parsed.detail}`);
  return { untilMs: nowMs + parsed.value };
}

/** @throws CardeaError `usage` */
export function duration(option: string, text: string): string {
  const parsed = parseDuration(text);
  if (!parsed.ok) throw new CardeaError("usage", `${option}: ${parsed.detail}`);
  return text;
}

/** An instant as the contract writes it. A time without an offset would mean something else on every machine. @throws CardeaError `usage` */
export function instant(option: string, text: string): Time {
  const ms = /T.*(?:Z|[+-][0-9]{2}:[0-9]{2})$/i.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms))
    throw new CardeaError(
      "usage",
      `${option}: \`${text}\` is no time with its offset, write for example 2026-12-24T08:00:00Z`,
    );
  return toTime(ms);
}

/** @throws CardeaError `usage` */
export function wholeNumber(option: string, text: string): number {
  if (!/^[1-9][0-9]{0,6}$/.test(text))
    throw new CardeaError("usage", `${option}: \`${text}\` is not a whole number above zero`);
  return Number(text);
}
