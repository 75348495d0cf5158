import { CardeaError } from "@cardea/core/contract/errors";
import type { Control } from "../control.ts";
import { currentHead } from "./proofs.ts";

/** The newest signed head, as published. @throws CardeaError `not_found` while the log has no entries, `log_rolled_back` */
export async function checkpoint(control: Control): Promise<string> {
  const head = await currentHead(control);
  if (head === undefined) throw new CardeaError("not_found", "the log has no entries yet");
  return head.note;
}
