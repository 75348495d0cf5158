/** The outcome of something that is expected to fail at times. Faults throw; refusals are returned. */
export type Result<T, Code extends string = string> = Ok<T> | Refused<Code>;

export interface Ok<T> {
  readonly ok: true;
  readonly value: T;
}

/** Why it was refused: a stable `code`, and words for a person that never hold a secret. */
export interface Refused<Code extends string = string> {
  readonly ok: false;
  readonly code: Code;
  readonly detail: string;
}

export function ok<T>(value: T): Ok<T> {
  return { ok: true, value };
}

export function refused<const Code extends string>(code: Code, detail: string): Refused<Code> {
  return { ok: false, code, detail };
}
