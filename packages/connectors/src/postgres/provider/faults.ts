/**
 * What a fault of the server means: which code it has, and whether what was asked may have happened nevertheless. An `ERROR` of the
 * server rolled everything back. A connection lost after something was sent leaves it open: the server may have gone on to commit.
 */
import { OutsideError, type ErrorCode } from "@cardea/core/contract/errors";
import { DatabaseError } from "pg";

/** Where a fault came from. `connect`: nothing had been sent. `read`: nothing could have changed. `change`: it could. */
export type Phase = "connect" | "read" | "change";

/** SQLSTATEs that mean a neighbour was in the way; the same call can succeed at once. */
const contended = new Set([
  "40001", // serialization_failure
  "40P01", // deadlock_detected
  "55006", // object_in_use
]);

/** One row a SQLSTATE or its class; the more exact wins. */
const codes: Record<string, ErrorCode> = {
  "08": "resource_unreachable",
  "25006": "resource_fault", // read_only_sql_transaction: a standby
  "28": "resource_unauthorized",
  "3D000": "resource_config_invalid", // no such database
  "42501": "resource_privilege_missing",
  "53": "resource_unreachable", // too many connections, out of memory or disk
  "55P03": "resource_timeout", // lock_not_available
  "57014": "resource_timeout", // query_canceled, by statement_timeout
  "57P": "resource_unreachable", // shutting down, starting up
};

/** A fault with its SQLSTATE, where the server named one. */
export class ServerFault extends OutsideError {
  readonly sqlState: string | undefined;
  /** What the server said beside its message, for deciding; never shown. */
  readonly detail: string | undefined;
  /** What the server said, without what we put before it. */
  readonly said: string | undefined;

  constructor(code: ErrorCode, effect: "none" | "maybe", message: string, cause: unknown) {
    super(code, effect, message, { cause });
    this.sqlState = cause instanceof DatabaseError ? cause.code : undefined;
    this.detail = cause instanceof DatabaseError ? cause.detail : undefined;
    this.said = cause instanceof DatabaseError ? cause.message : undefined;
  }
}

/** The fault behind whatever `pg` or a socket threw. `server` names the server in words: never a credential. */
export function toFault(error: unknown, phase: Phase, server: string): OutsideError {
  if (error instanceof OutsideError) return error;
  if (error instanceof DatabaseError) {
    // FATAL ends the connection, perhaps after the commit and before its answer.
    const rolledBack = phase !== "change" || error.severity === "ERROR";
    const code = error.code === undefined ? "resource_fault" : codeOf(error.code);
    return new ServerFault(code, rolledBack ? "none" : "maybe", `${server}: ${error.message}`, error);
  }
  const code: ErrorCode =
    phase === "connect" && isConfiguration(error) ? "resource_config_invalid" : "resource_unreachable";
  return new ServerFault(code, phase === "change" ? "maybe" : "none", `${server}: ${wordsOf(error)}`, error);
}

/** Whether trying the same once more can succeed at once: two statements met. */
export function isContended(error: unknown): boolean {
  if (!(error instanceof ServerFault) || error.sqlState === undefined) return false;
  // Catalogue rows that two sessions change or remove at once have no code of their own.
  return (
    contended.has(error.sqlState) ||
    (error.sqlState === "XX000" && /concurrently|could not find tuple/.test(error.message))
  );
}

/** Whether the server refused with this SQLSTATE. */
export function hasState(error: unknown, sqlState: string): error is ServerFault {
  return error instanceof ServerFault && error.sqlState === sqlState;
}

/** The fault of a step that followed something already made: whatever its own effect, something is there. */
export function asMaybe(error: unknown): unknown {
  return error instanceof OutsideError && error.effect === "none"
    ? new OutsideError(error.code, "maybe", error.message, { cause: error })
    : error;
}

function codeOf(sqlState: string): ErrorCode {
  return codes[sqlState] ?? codes[sqlState.slice(0, 3)] ?? codes[sqlState.slice(0, 2)] ?? "resource_fault";
}

/** A certificate that will not do stays so until somebody changes something. The codes are OpenSSL's (`X509_V_ERR_…`) and Node's own. */
function isConfiguration(error: unknown): boolean {
  return error instanceof Error && "code" in error && /CERT|^UNABLE_TO_|^ERR_(TLS|SSL)_/.test(String(error.code));
}

function wordsOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(wordsOf).join("; ");
  return error instanceof Error ? error.message : String(error);
}
