import { pino, type Logger } from "pino";

/** Structured lines on standard error. What may hold a secret is cut out whatever code wrote it. */
export function newLogger(name: string, level: string): Logger {
  return pino(
    {
      name,
      level,
      base: { name },
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: errorFields },
      redact: { paths: redacted.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]), censor: "(cut)" },
    },
    pino.destination({ dest: 2, sync: true }),
  );
}

const redacted = ["password", "secret", "token", "authorization", "seed", "connectionString"];

/** What tells one failure from another. Drivers hang their whole client, keys included, on an error, so nothing else is taken over. */
function errorFields(error: unknown): object {
  if (!(error instanceof Error)) return { message: String(error) };
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined;
  return {
    type: error.name,
    message: error.message,
    ...(code !== undefined && { code }),
    stack: error.stack,
    ...(error.cause !== undefined && { cause: errorFields(error.cause) }),
  };
}
