import { GrantId, type SubjectId } from "@cardea/core/contract/ids";
import type { Request } from "@cardea/core/documents/request";
import { forget, manyRemembered, remember, type Fact } from "../audit/remembered.ts";
import type { Control } from "../control.ts";
import { concerned } from "../requests/tell.ts";

/** Remembers, outside the database, that a break-glass grant must be looked back at, for each of whom it is a debt. */
export async function rememberDebt(control: Control, request: Request, grant: GrantId): Promise<void> {
  for (const subject of concerned(request)) await remember(control, debtOf(subject, grant));
}

/** The debt is paid. One that a crash leaves remembered is paid by its signed review nevertheless. */
export async function forgetDebt(control: Control, request: Request, grant: GrantId): Promise<void> {
  for (const subject of concerned(request)) await forget(control, debtOf(subject, grant));
}

/** Whatever is remembered as owed by these subjects. */
export async function manyRememberedDebts(control: Control, subjects: readonly SubjectId[]): Promise<GrantId[]> {
  const names = await manyRemembered(control, "debts");
  return names.flatMap((name) => {
    const [subject = "", id] = name.split(".");
    const grant = GrantId.safeParse(id);
    return grant.success && subjects.some((one) => one === subject) ? [grant.data] : [];
  });
}

function debtOf(subject: SubjectId, grant: GrantId): Fact {
  return { kind: "debts", name: `${subject}.${grant}` };
}
