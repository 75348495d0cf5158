import { z } from "zod";
import { RequestId } from "../contract/ids.ts";
import { Base64Url, JsonValue, Time } from "../documents/primitives.ts";

const action = z.int().min(0);
/** The value was longer than is kept together; what is missing at its end is in the recording, and not here. */
const shortened = z.literal(true).exactOptional();

/** What happened in a session, as its recording tells it. `action` numbers are unique in the session. Texts are as the client sent them. */
export const RecordedEvent = z.discriminatedUnion("type", [
  /** Passed on to the resource. */
  z.strictObject({
    type: z.literal("action"),
    action,
    at: Time,
    text: z.string(),
    /** It was held, and ran under an approval of its own. */
    approved: z.boolean(),
    shortened,
  }),
  z.strictObject({
    type: z.literal("outcome"),
    action,
    at: Time,
    outcome: z.enum(["done", "failed", "unknown"]),
    rows: z.int().min(0),
    /** Sent to the client. */
    bytes: z.int().min(0),
    /** The resource's own code; its words are values, since they may quote some. */
    error: z.string().exactOptional(),
  }),
  z.strictObject({
    type: z.literal("refused"),
    action,
    at: Time,
    text: z.string(),
    words: z.string(),
    shortened,
  }),
  z.strictObject({ type: z.literal("held"), action, at: Time, text: z.string(), shortened }),
  /** The request of the action that is held. */
  z.strictObject({ type: z.literal("filed"), at: Time, request: RequestId, code: z.string() }),
  z.strictObject({
    type: z.literal("settled"),
    action,
    at: Time,
    verdict: z.enum(["run", "refused", "expired", "withdrawn", "fault"]),
  }),
  /** Bytes that belong to an action went this way, whether or not they are recorded themselves. */
  z.strictObject({
    type: z.literal("moved"),
    action,
    direction: z.enum(["input", "output"]),
    bytes: z.int().min(0),
    /** Of these bytes, how many are recorded. */
    recorded: z.int().min(0),
  }),
  z.strictObject({ type: z.literal("closed"), at: Time, why: z.string(), words: z.string() }),
]);
export type RecordedEvent = z.infer<typeof RecordedEvent>;

/** What was passed in and out: sealed under another key than the events. */
export const RecordedValue = z.discriminatedUnion("type", [
  /** As they were on the wire, and, where the kind of resource can tell, one by one. */
  z.strictObject({
    type: z.literal("parameters"),
    action,
    data: Base64Url,
    list: z.array(JsonValue).exactOptional(),
    shortened,
  }),
  z.strictObject({ type: z.literal("input"), action, data: Base64Url }),
  z.strictObject({ type: z.literal("output"), action, data: Base64Url }),
  /** The resource's words about an action that failed. */
  z.strictObject({ type: z.literal("message"), action, text: z.string(), shortened }),
]);
export type RecordedValue = z.infer<typeof RecordedValue>;

/**
 * Events with the values of each action beside them: what went in after the action, what came out before its outcome. What has no event to
 * stand by keeps its order, at the end.
 */
export function interleave(
  events: readonly RecordedEvent[],
  values: readonly RecordedValue[],
): (RecordedEvent | RecordedValue)[] {
  if (values.length === 0) return [...events];
  const byAction = new Map<number, RecordedValue[]>();
  for (const value of values) {
    const known = byAction.get(value.action);
    if (known === undefined) byAction.set(value.action, [value]);
    else known.push(value);
  }
  const out: (RecordedEvent | RecordedValue)[] = [];
  const take = (number: number, wanted: (value: RecordedValue) => boolean): void => {
    const known = byAction.get(number);
    if (known === undefined) return;
    const rest = known.filter((value) => !wanted(value));
    out.push(...known.filter(wanted));
    if (rest.length === 0) byAction.delete(number);
    else byAction.set(number, rest);
  };
  for (const event of events) {
    if (event.type === "outcome") take(event.action, () => true);
    out.push(event);
    if (event.type === "action") take(event.action, ({ type }) => type === "parameters" || type === "input");
  }
  for (const rest of byAction.values()) out.push(...rest);
  return out;
}
