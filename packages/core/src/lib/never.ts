/** Marks a branch that no value can reach; a missing case then does not compile, and an unforeseen value throws. */
export function never(value: never): never {
  throw new TypeError(`unreachable case \`${String(value)}\``);
}
