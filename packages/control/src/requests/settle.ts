import type { z } from "zod";
import type { Tally } from "@cardea/core/approval/tally";
import type { CardeaError } from "@cardea/core/contract/errors";
import { toTime } from "@cardea/core/documents/primitives";
import type { ResourceSpec } from "@cardea/core/documents/resource-spec";
import type { Vote } from "@cardea/core/documents/vote";
import type { CastVote } from "@cardea/core/wire/api/requests";
import { recordAll } from "../audit/record.ts";
import type { Actor, Control, Tx } from "../control.ts";
import { createGrant } from "../grants/create.ts";
import type { RosterView } from "../people/roster.ts";
import type { StoredGrant } from "../store/grants.ts";
import type { StoredPolicy } from "../store/policies.ts";
import { decideRequest, setReminders, type StoredRequest } from "../store/requests.ts";
import type { Signed } from "../store/signed.ts";
import { settleRequest } from "./hold-tasks.ts";
import { tellApprovers, tellRequester } from "./tell.ts";
import { requestIds } from "./view.ts";

/** One vote being taken, in the transaction that holds its request's lock. */
export interface Voting {
  readonly tx: Tx;
  readonly control: Control;
  readonly actor: Actor;
  readonly input: z.output<typeof CastVote>;
  readonly request: StoredRequest;
  readonly votes: readonly Signed<Vote>[];
  readonly roster: RosterView;
  readonly current: StoredPolicy;
}

/** What the request was decided on. */
export interface Ground {
  readonly spec: ResourceSpec;
  readonly policy: StoredPolicy;
}

/** What one transaction came to. A request found to be over is settled in it, and only then refused. */
export type Outcome =
  | { readonly refusal: CardeaError }
  | {
      readonly request: StoredRequest;
      readonly votes: readonly Signed<Vote>[];
      readonly grant: StoredGrant | undefined;
      readonly roster: RosterView;
    };

/** What the votes come to now: denied, approved with its grant, the next stage, or still waiting. */
export async function settle(
  voting: Voting,
  ground: Ground,
  votes: readonly Signed<Vote>[],
  before: Tally,
  counted: Tally,
): Promise<Outcome> {
  const { tx, control, roster, request } = voting;
  const { signed } = request;
  const now = toTime(control.clock.now());
  switch (counted.state) {
    case "denied": {
      await decideRequest(tx, request.id, "denied", now);
      await recordAll(tx, control, [
        {
          type: "request.denied",
          ids: requestIds(signed.document),
          data: { request: signed.digest, vote: counted.vote },
          actor: counted.by,
        },
      ]);
      const words = `denied by ${voting.actor.name}${voting.input.comment === "" ? "" : `: ${voting.input.comment}`}`;
      await tellRequester(tx, control, roster, signed, "request.denied", `was ${words}`);
      await settleRequest(tx, control, signed, "refused", words);
      return { request: { ...request, state: "denied", decidedAt: now }, votes, grant: undefined, roster };
    }
    case "approved": {
      await decideRequest(tx, request.id, "approved", now);
      await recordAll(tx, control, [
        {
          type: "request.approved",
          ids: requestIds(signed.document),
          data: { request: signed.digest, votes: counted.votes },
        },
      ]);
      const grant = await createGrant(tx, control, {
        request: signed,
        counted,
        votes,
        spec: ground.spec,
        policy: ground.policy,
        current: voting.current,
        roster,
      });
      await tellRequester(
        tx,
        control,
        roster,
        signed,
        "request.approved",
        "action" in signed.document.asked.ask
          ? "was approved, and runs now or not at all"
          : `was approved until ${grant.signed.document.window.notAfter}`,
      );
      return { request: { ...request, state: "approved", decidedAt: now }, votes, grant, roster };
    }
    case "pending": {
      if (before.state === "pending" && counted.stage > before.stage) {
        const escalations = counted.missing.flatMap(({ escalatesAt }) => escalatesAt ?? []).sort();
        await setReminders(tx, request.id, { escalate_at: escalations[0] ?? null });
        await tellApprovers(tx, control, roster, signed, counted, "request.submitted");
      }
      return { request, votes, grant: undefined, roster };
    }
  }
}
