// expect +1: @typescript-eslint/no-restricted-imports
import { randomBytes, randomUUID } from "node:crypto";
// expect +1: @typescript-eslint/no-restricted-imports
import { env } from "node:process";

export const clock: readonly number[] = [
  // expect +1: no-restricted-properties
  Date.now(),
  // expect +1: no-restricted-properties
  performance.now(),
  // expect +1: no-restricted-syntax
  new Date().getTime(),
  // expect +1: no-restricted-syntax
  Date().length,
];

export const dice: readonly unknown[] = [
  // expect +1: no-restricted-properties
  Math.random(),
  // expect +1: no-restricted-properties
  crypto.randomUUID(),
  randomBytes(16),
  randomUUID(),
];

export const environment: readonly unknown[] = [
  // expect +1: no-restricted-properties
  process.env["HOME"],
  env,
];
