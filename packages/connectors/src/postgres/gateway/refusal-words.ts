/** What a client is told whose statement waited in vain; that breaks the gateway's own limits, or names what is not there. The latter as PostgreSQL itself says it. */
import type { HoldVerdict } from "../../gateway.ts";
import type { Words } from "./messages.ts";

export const functionCallWords: Words = {
  code: "0A000",
  message: "the function call message is not carried",
  hint: "call the function in a query",
};

export const boundBefore: Words = {
  code: "0A000",
  message: "a statement that waits for approval is bound and executed together",
  hint: "bind it again and execute it in the same pipeline",
};

export const sentAlone: Words = {
  code: "0A000",
  message: "a statement that waits for approval is sent alone",
  hint: "send it without other statements in the same pipeline",
};

export const transactionFailed: Words = {
  code: "25P02",
  message: "current transaction is aborted, commands ignored until end of transaction block",
};

export const sessionOver: Words = { code: "57P01", message: "the session is over" };

export const changedMeanwhile: Words = {
  code: "40001",
  message: "what the statement's names stand for changed while it waited: it did not run",
  hint: "send it again to have it approved as it is now",
};

const rollBack = "the transaction is aborted: roll it back";

/** The host failed. */
export function cannotAsk(inTransaction: boolean): Words {
  return {
    code: "58000",
    message: "approval cannot be asked for now",
    hint: inTransaction ? `${rollBack}, and try again later` : "try again later; the session goes on",
  };
}

export function notApproved(verdict: Exclude<HoldVerdict["is"], "run">, words: string, inTransaction: boolean): Words {
  const instead = {
    refused: "the session goes on; ask for a role that covers it, or for something else",
    expired: "send it again to ask anew, or ask for it outside the session and have it run there",
    withdrawn: undefined,
  }[verdict];
  const hints = [...(inTransaction ? [rollBack] : []), ...(instead === undefined ? [] : [instead])];
  return {
    code: verdict === "refused" ? "42501" : "57014",
    message: words,
    ...(hints.length === 0 ? {} : { hint: hints.join("; ") }),
  };
}

export function unknownStatement(name: string): Words {
  const what = name === "" ? "unnamed prepared statement" : `prepared statement "${name}"`;
  return { code: "26000", message: `${what} does not exist` };
}

export function unknownPortal(name: string): Words {
  return { code: "34000", message: `portal "${name}" does not exist` };
}

export function tooLarge(limit: number): Words {
  return {
    code: "54000",
    message: `the statement is larger than the ${limit} bytes that can be judged`,
    hint: "send large values as parameters or by COPY",
  };
}

export function tooMany(limit: number, what: string): Words {
  return { code: "54000", message: `more than ${limit} ${what}`, hint: "close those that are not needed" };
}
