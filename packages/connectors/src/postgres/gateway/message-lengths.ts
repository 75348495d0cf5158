/** How long a client's messages may be: what is longer is not one, is refused, or streams through without being looked at as a whole. */
import { fromClient, headerSize } from "./messages.ts";

/** Lengths with header: of what is looked at as a whole, and of what is taken at all. */
export interface Longest {
  readonly whole: number;
  readonly atAll: number;
}

/** As PostgreSQL takes at most. */
const longestOfAll = 0x3fff_ffff;
/** Of a type that no client sends. */
export const unknownMessage: Longest = { whole: 0, atAll: 0 };
const bare: Longest = { whole: headerSize, atAll: headerSize };
const short: Longest = { whole: 8_192, atAll: 8_192 };

/** By type. `statementBytes`: of texts and parameters that are held in memory. */
export function longestMessages(statementBytes: number): Readonly<Record<number, Longest>> {
  const text: Longest = { whole: statementBytes, atAll: longestOfAll };
  return {
    [fromClient.query]: text,
    [fromClient.parse]: text,
    [fromClient.bind]: text,
    [fromClient.copyData]: { whole: short.whole, atAll: longestOfAll },
    [fromClient.copyFail]: { whole: 65_536, atAll: 65_536 },
    [fromClient.functionCall]: { whole: short.whole, atAll: longestOfAll },
    [fromClient.copyDone]: bare,
    [fromClient.flush]: bare,
    [fromClient.sync]: bare,
    [fromClient.terminate]: bare,
    [fromClient.describe]: short,
    [fromClient.execute]: short,
    [fromClient.close]: short,
  };
}
