/**
 * A held statement in the extended protocol: the messages up to the next Sync or Flush that belong to its one execution. They are kept
 * back as a whole and later sent as they came. Anything else among them means that more than the approved statement would run. Pure.
 */
import { isUtf8 } from "node:buffer";
import type { SqlWhat } from "../spec/statement/action.ts";
import { fromClient, headerSize, Malformed, textEnd, type Words } from "./messages.ts";
import { sentAlone } from "./refusal-words.ts";

export type Params = NonNullable<SqlWhat["params"]>;

export type HeldGroup =
  /** Its end has not been received; looking again is of no use before so many bytes, from the same place, are there. */
  | { readonly is: "incomplete"; readonly wanted: number }
  /** It only prepares or describes. */
  | { readonly is: "preparation" }
  | { readonly is: "execution"; readonly params: Params }
  | { readonly is: "mixed"; readonly words: Words };

/** Looks at the messages from `at` on; the first is the Parse or the Bind of the held statement. @throws Malformed */
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
        return executed ? { is: "execution", params: readParameters(bind.parameters) } : mixed;
      default:
        return mixed;
    }
    from = to;
  }
  return { is: "incomplete", wanted: from + headerSize - at };
}

const mixed: HeldGroup = { is: "mixed", words: sentAlone };

const limited: HeldGroup = {
  is: "mixed",
  words: {
    code: "0A000",
    message: "a statement that waits for approval runs to its end at once",
    hint: "fetch its rows without a row limit (fetch size)",
  },
};

/** The parameters of a Bind, from its formats on, as an approver can read them: texts, nulls, and other bytes in base 64. */
function readParameters(bytes: Buffer): Params {
  const formats: number[] = [];
  const values: Params = [];
  let at = 0;
  const take = (length: number): number => {
    at += length;
    if (length < 0 || at > bytes.length) throw new Malformed("a Bind");
    return at - length;
  };
  for (let left = bytes.readUInt16BE(take(2)); left > 0; left--) formats.push(bytes.readUInt16BE(take(2)));
  for (let left = bytes.readUInt16BE(take(2)); left > 0; left--) {
    const length = bytes.readInt32BE(take(4));
    const format = formats.length > 1 ? formats[values.length] : formats[0];
    if (length === -1) {
      values.push(null);
    } else {
      const value = bytes.subarray(take(length), at);
      const isText = format !== 1 && isUtf8(value);
      values.push(isText ? value.toString("utf8") : { base64: value.toString("base64") });
    }
  }
  return values;
}
