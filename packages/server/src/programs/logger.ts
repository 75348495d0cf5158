import { pino, type Logger } from "pino";

/** Structured lines on standard error. What may hold a secret is cut out whatever code wrote it. */
export function newLogger(name: string, level: string): Logger {
  return pino(
    {
      name,
      level,
      base: { name },
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: ["password", "secret", "token", "authorization", "seed", "*.password", "*.secret", "*.token", "*.authorization", "*.seed", "headers.authorization", "req.headers.authorization"], censor: "(cut)" },
    },
    pino.destination({ dest: 2, sync: true }),
  );
}
