/** What a client is told that breaks the gateway's own limits, or names what is not there. The latter as PostgreSQL itself says it. */
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
