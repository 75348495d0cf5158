import { judgement } from "../../core/src/policy/value.ts";

export const judged = judgement;
