/** Ends the process's work when it is asked to, or when the supervisor that forked it is gone. */
export function untilAsked(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
      process.once(signal, () => {
        resolve(signal);
      });
    // The channel closes with the supervisor, however it ended.
    if (process.send !== undefined)
      process.once("disconnect", () => {
        resolve("the supervisor is gone");
      });
  });
}

/** Tells the supervisor, where there is one, that the process is ready. */
export function sayReady(message: object): void {
  process.send?.(message);
}
