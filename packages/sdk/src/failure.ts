import { CardeaError, isErrorCode, type ErrorCode } from "@cardea/core/contract/errors";
import { Problem } from "@cardea/core/wire/api/conventions";

/** What the control plane answered instead of a result: the problem document as it came, under the table's code. */
export class ApiError extends CardeaError {
  override readonly name = "ApiError";
  readonly problem: Problem;

  constructor(code: ErrorCode, problem: Problem) {
    super(code, problem.detail, { pointers: problem.pointers ?? [] });
    this.problem = problem;
  }
}

/** Reads a failed response. A body that is no problem document, from something between here and there, becomes `unreachable`. */
export function failureOf(status: number, body: unknown): ApiError {
  const parsed = Problem.safeParse(body);
  if (parsed.success) return new ApiError(isErrorCode(parsed.data.code) ? parsed.data.code : "internal", parsed.data);
  const detail = `something that is not Cardea answered with status ${String(status)}`;
  return new ApiError("unreachable", {
    type: "about:blank",
    title: "unreachable",
    status,
    detail,
    code: "unreachable",
    retryable: true,
  });
}
