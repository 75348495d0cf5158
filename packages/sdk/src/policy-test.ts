/** Tests a policy's text against cases written beside it, on this machine alone: the core's parsing and its one decision. */
import { CardeaError } from "@cardea/core/contract/errors";
import { parseCases, testPolicy, type CaseOutcome } from "@cardea/core/policy/fixtures";
import { parsePolicy } from "@cardea/core/policy/parse";

/** The outcome of every case, in their order. @throws CardeaError `policy_invalid` for the policy, `usage` for the cases; with pointers */
export function testPolicyText(policy: string, cases: string): CaseOutcome[] {
  const parsed = parsePolicy(policy);
  if (!parsed.ok) {
    const pointers = parsed.problems.map(({ line, column, message }) => ({
      path: `${line ?? 1}:${column ?? 1}`,
      message,
    }));
    throw new CardeaError("policy_invalid", "the policy is not valid, so nothing was tested", { pointers });
  }
  const read = parseCases(cases);
  if (!read.ok) throw new CardeaError("usage", "the cases cannot be read", { pointers: read.problems });
  return testPolicy(parsed.document, read.cases);
}
