/**
 * A held statement in the extended protocol: the messages up to the next Sync or Flush that belong to its one execution. They are kept
 * back as a whole and later sent as they came. Anything else among them means that more than the approved statement would run. Pure.
 */
import type { z } from "zod";
import type { JsonValue } from "@cardea/core/documents/primitives";
import { fromClient, headerSize, textEnd, type Words } from "./messages.ts";

export type HeldGroup =
  /** Its end has not been received; looking again is of no use before so many bytes, from the same place, are there. */
  | { readonly is: "incomplete"; readonly wanted: number }
  /** It only prepares or describes. */
  | { readonly is: "preparation" }
  | { readonly is: "execution"; readonly parameters: Buffer }
  | { readonly is: "mixed"; readonly words: Words };

/** Looks at the messages from `at` on; the first is the Parse or the Bind of the held statement. */
export function readHeldGroup(bytes: Buffer, at: number): HeldGroup {
  let bind: { readonly statement: string; readonly portal: string; readonly parameters: Buffer } | undefined;
  let parsed: string | undefined;
  let executed = false;
  let from = at;
  while (from + headerSize <= bytes.length) {
    const type = bytes[from];
    const to = from + 1 + bytes.readUInt32BE(from + 1);
    if (to > bytes.length) return { is: "incomplete", wanted: to - at };
    const first = textEnd(bytes, from + headerSize, to);
    const name = first < 0 ? "" : bytes.toString("utf8", from + headerSize, first);
    switch (type) {
      case fromClient.parse:
        if (from !== at) return mixed;
        parsed = name;
        break;
      case fromClient.bind: {
        const second = textEnd(bytes, first + 1, to);
        if (bind !== undefined || first < 0 || second < 0) return mixed;
        const statement = bytes.toString("utf8", first + 1, second);
        if (parsed !== undefined && parsed !== statement) return mixed;
        bind = { statement, portal: name, parameters: bytes.subarray(second + 1, to) };
        break;
      }
      case fromClient.execute:
        if (executed || bind?.portal !== name || first < 0) return mixed;
        if (to !== first + 5 || bytes.readInt32BE(first + 1) !== 0) return limited;
        executed = true;
        break;
      case fromClient.describe:
      case fromClient.close:
        break;
      case fromClient.sync:
      case fromClient.flush:
        if (bind === undefined) return { is: "preparation" };
        return executed ? { is: "execution", parameters: bind.parameters } : mixed;
      default:
        return mixed;
    }
    from = to;
  }
  return { is: "incomplete", wanted: from + headerSize - at };
}

const mixed: HeldGroup = {
  is: "mixed",
  words: {
    code: "0A000",
    message: "a statement that waits for approval is sent alone",
    hint: "send it without other statements in the same pipeline",
  },
};

const limited: HeldGroup = {
  is: "mixed",
  words: {
    code: "0A000",
    message: "a statement that waits for approval runs to its end at once",
    hint: "fetch its rows without a row limit (fetch size)",
  },
};

/** The parameters of a Bind as an approver can read them: texts, nulls, and binary values in base 64. */
export function readParameters(parameters: Buffer): z.infer<typeof JsonValue>[] {
  const formats: number[] = [];
  let at = 2;
  for (let left = parameters.readInt16BE(0); left > 0; left--, at += 2) formats.push(parameters.readInt16BE(at));
  const values: z.infer<typeof JsonValue>[] = [];
  const count = parameters.readInt16BE(at);
  at += 2;
  for (let index = 0; index < count; index++) {
    const length = parameters.readInt32BE(at);
    at += 4;
    const value = parameters.subarray(at, at + Math.max(length, 0));
    const format = formats.length > 1 ? formats[index] : formats[0];
    if (length < 0) values.push(null);
    else values.push(format === 1 ? { base64: value.toString("base64") } : value.toString("utf8"));
    at += Math.max(length, 0);
  }
  return values;
}
