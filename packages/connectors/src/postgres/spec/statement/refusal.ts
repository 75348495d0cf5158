/** Why a text is not judged at all: it goes neither to the server nor to an approver. */

/** With the SQLSTATE that the client is told. */
const sqlStates = {
  /** The parser does not understand it. */
  syntax_error: "42601",
  /** Bytes that are no UTF-8, or NUL. */
  not_text: "22021",
  /** Longer, with more statements or more names than may be looked at. */
  too_large: "54000",
  /** Nested or chained deeper than may be looked at. */
  too_deep: "54001",
  /** A kind of statement, expression or field that this analysis does not know. */
  unknown_form: "0A000",
  /** Known, and never let through: what it does is not in its text, or it undoes the session's own bounds. */
  never_judged: "0A000",
  /** The session's settings make the server read other words than the parser does. */
  unpinned: "55000",
  /** A name that stands for nothing now, so that nothing can be said about it. */
  missing_name: "42P01",
  /** A prepared statement that this session does not have. */
  missing_statement: "26000",
  /** The parser failed as a program; it is loaded anew. */
  parser_fault: "58000",
} as const;

export type RefusalCode = keyof typeof sqlStates;

export interface Refusal {
  readonly is: "refused";
  readonly code: RefusalCode;
  /** For the client: lower case, no full stop. */
  readonly why: string;
  /** What to do instead. */
  readonly instead?: string;
  readonly sqlState: string;
  /** Where in the text, counted in characters from 1 as the protocol's error field `P` does. */
  readonly position?: number;
}

export function refusal(code: RefusalCode, why: string, instead?: string, position?: number): Refusal {
  return {
    is: "refused",
    code,
    why,
    sqlState: sqlStates[code],
    ...(instead === undefined ? {} : { instead }),
    ...(position === undefined ? {} : { position }),
  };
}
