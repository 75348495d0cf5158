import type { Problem } from "@cardea/core/wire/api/conventions";
import { CardeaError, errors, type ErrorCode, type ErrorPointer } from "@cardea/core/contract/errors";
import { hasZodFastifySchemaValidationErrors } from "fastify-type-provider-zod";
import { z } from "zod";

export const problemType = "application/problem+json; charset=utf-8";

/** What a fault that is not ours to explain is called towards the caller. The log has the rest. */
const internal = "something is broken in Cardea; the log has the details under this request id";

/** Codes of Fastify's own refusals, before any of our code runs. */
const frameworkCodes: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: "too_large",
  FST_ERR_CTP_INVALID_MEDIA_TYPE: "unsupported_media_type",
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: "invalid_request",
  FST_ERR_CTP_EMPTY_TYPE: "unsupported_media_type",
  FST_ERR_CTP_EMPTY_JSON_BODY: "invalid_json",
  FST_ERR_BAD_URL: "invalid_request",
  FST_ERR_ASYNC_CONSTRAINT: "not_found",
  FST_ERR_MAX_PARAM_LENGTH: "not_found",
};

/** PostgreSQL's classes for "not there" and "cannot now", and what a broken socket says. */
const databaseAway = /^(?:08|53|57P|ECONN|EPIPE|ETIMEDOUT|ENOENT|ENOTFOUND|EHOSTUNREACH)/;

/** Everything that can be thrown, as one of the table's codes. What is not ours becomes `internal`, with the error as its cause. */
export function asCardeaError(error: unknown): CardeaError {
  if (error instanceof CardeaError) return error;
  if (hasZodFastifySchemaValidationErrors(error)) return invalidInput(error);
  const code =
    typeof error === "object" && error !== null && "code" in error && typeof error.code === "string" ? error.code : "";
  const known = Object.hasOwn(frameworkCodes, code) ? frameworkCodes[code] : undefined;
  if (known !== undefined) return new CardeaError(known, errors[known].title, { cause: error });
  if (databaseAway.test(code))
    return new CardeaError(
      "database_unavailable",
      "the control plane's database cannot be reached; try again in a moment",
      { cause: error },
    );
  return new CardeaError("internal", internal, { cause: error });
}

interface InvalidInput {
  readonly validation: readonly { readonly instancePath: string; readonly message?: string | undefined }[];
  readonly validationContext?: string | undefined;
}

function invalidInput({ validation, validationContext = "body" }: InvalidInput): CardeaError {
  const where = validationContext === "querystring" ? "query" : validationContext;
  const pointers = validation.slice(0, 20).map((issue): ErrorPointer => {
    const path = issue.instancePath
      .split("/")
      .filter((key) => key !== "")
      .join(".");
    return {
      path: where === "body" ? path : [where, path].filter((part) => part !== "").join("."),
      message: issue.message ?? "is not of the required form",
    };
  });
  const [first] = pointers;
  const detail =
    first === undefined
      ? errors.invalid_request.title
      : `\`${(first.path === "" ? where : first.path).slice(0, 200)}\`: ${first.message}`;
  return new CardeaError("invalid_request", detail, { pointers });
}

const Extra = z.object({ request: z.string().optional(), reasons: z.array(z.string()).optional() });

/** The RFC 9457 document for an error. Internal errors tell nothing of their cause. */
export function problemOf(
  error: CardeaError,
  { publicUrl, requestId }: { readonly publicUrl: string; readonly requestId: string },
): Problem {
  const { status, retryable, title } = errors[error.code];
  const extra = Extra.safeParse(error.extra);
  return {
    type: `${publicUrl.replace(/\/$/, "")}/docs#${error.code}`,
    title,
    status,
    detail: error.message,
    code: error.code,
    instance: requestId,
    retryable,
    ...(error.pointers.length > 0 && { pointers: [...error.pointers] }),
    ...(extra.success && extra.data),
  };
}
