/**
 * What each endpoint does: one use case each. A handler takes parsed input and a verified caller, and answers the view or throws; HTTP, JSON,
 * permissions by the table, idempotency and cursors are around it, in `routes.ts`.
 */
import type { endpoints, Endpoint, EndpointInput, EndpointName, EndpointReply } from "@cardea/core/wire/api/endpoints";
import type { RequestView } from "@cardea/core/wire/api/requests";
import type { KeyView } from "@cardea/core/wire/api/grants";
import { digestOf } from "@cardea/core/documents/digest";
import { toTime } from "@cardea/core/documents/primitives";
import { policyJsonSchema } from "@cardea/core/policy/json-schema";
import { listAudit } from "../audit/list.ts";
import type { Control } from "../control.ts";
import { grantEvidence } from "../evidence/grant-evidence.ts";
import { fetchKey, isStillMade } from "../grants/key.ts";
import { listGrants } from "../grants/list.ts";
import { releaseGrant } from "../grants/release.ts";
import { reviewGrant } from "../grants/review.ts";
import { revokeGrant } from "../grants/revoke.ts";
import { showGrant } from "../grants/show.ts";
import { createWebhook, listWebhooks, removeWebhook } from "../notify/webhooks.ts";
import type { Authenticated } from "../people/authenticate.ts";
import { changePerson, revokeCredential } from "../people/change-person.ts";
import { createPerson } from "../people/create-person.ts";
import { enrol } from "../people/enrol.ts";
import { invite } from "../people/invitations.ts";
import { listPeople, showPerson } from "../people/list-people.ts";
import { challenge, signIn, signOut } from "../people/sign-in.ts";
import { createToken, listTokens, revokeToken } from "../people/tokens.ts";
import { whoAmI } from "../people/who-am-i.ts";
import { applyPolicy } from "../policy/apply.ts";
import { currentPolicy } from "../policy/current.ts";
import { planPolicy } from "../policy/plan.ts";
import { simulatePolicy } from "../policy/simulate.ts";
import { readRecording } from "../recordings/read.ts";
import { previewAction } from "../requests/preview.ts";
import { listRuns } from "../runs/list.ts";
import { resolveRun } from "../runs/resolve.ts";
import { fetchResult, isStillRun } from "../runs/result.ts";
import { listRequests } from "../requests/list.ts";
import { showRequest } from "../requests/show.ts";
import { submitRequest } from "../requests/submit.ts";
import { castVote } from "../requests/vote.ts";
import { withdrawRequest } from "../requests/withdraw.ts";
import { applyResource } from "../resources/apply.ts";
import { removeResource } from "../resources/remove.ts";
import { checkResource } from "../resources/check.ts";
import { listResources, showResource } from "../resources/list.ts";
import { createEnrolmentToken, listOutposts } from "../resources/outposts.ts";
import { endSession } from "../sessions/end.ts";
import { listSessions } from "../sessions/list.ts";
import { showSession } from "../sessions/show.ts";
import { waitForNews } from "./long-poll.ts";

type EndpointOf<Name extends EndpointName> = (typeof endpoints)[Name];

/** One call as a handler sees it. */
export interface Call<E extends Endpoint> extends EndpointInput<E> {
  readonly control: Control;
  /** Who calls; nobody for public endpoints. */
  readonly caller: E["access"] extends "public" ? undefined : Authenticated;
  readonly sourceIp: string;
  /** Aborted when the caller goes away or the server closes. */
  readonly signal: AbortSignal;
}

export type Handlers = {
  readonly [Name in EndpointName]: (
    call: Call<EndpointOf<Name>>,
  ) => Promise<EndpointReply<EndpointOf<Name>>> | EndpointReply<EndpointOf<Name>>;
};

/** Whether nothing more will come of the request. */
function isOver({ state, document, grant }: RequestView): boolean {
  if (state !== "approved" || !("action" in document.asked.ask)) return state !== "pending";
  return grant === undefined || grant.state === "ended" || grant.state === "failed";
}

export const handlers: Handlers = {
  meta: ({ control }) => ({
    version: control.settings.version,
    development: control.settings.development,
    publicUrl: control.settings.publicUrl,
    origin: control.trust.origin,
    trust: digestOf("trust", control.trust),
    time: toTime(control.clock.now()),
  }),
  trust: ({ control }) => control.trust,

  enrol: ({ control, body }) => enrol(control, body),
  challenge: ({ control, body }) => challenge(control, body.credential),
  signIn: ({ control, body, sourceIp }) => signIn(control, body, sourceIp),
  signOut: async ({ control, caller }) => {
    await signOut(control, caller.actor, caller.token);
    return undefined;
  },
  whoAmI: ({ control, caller }) => whoAmI(control, caller),

  submitRequest: ({ control, caller, body }) => submitRequest(control, caller.actor, body),
  listRequests: ({ control, caller, query }) => listRequests(control, caller.actor, query),
  showRequest: ({ control, caller, params, query: { wait, since }, signal }) =>
    waitForNews(control, {
      channel: "requests",
      seconds: wait,
      signal,
      read: () => showRequest(control, caller.actor, params.id),
      // `since` is a state, or a state and a number of votes: `pending:1`. An approved action goes on until its run is over.
      isNews: (view) =>
        (view.state !== "pending" && (since !== "approved" || isOver(view))) ||
        (since !== undefined && since !== view.state && since !== `${view.state}:${view.votes.length}`),
    }),
  castVote: ({ control, caller, params, body }) => castVote(control, caller.actor, params.id, body),
  withdrawRequest: ({ control, caller, params }) => withdrawRequest(control, caller.actor, params.id),
  evidence: ({ control, caller, params }) => grantEvidence(control, caller.actor, params.id),
  fetchResult: async ({ control, caller, params, query, signal }) => {
    await waitForNews(control, {
      channel: "requests",
      seconds: query.wait,
      signal,
      read: () => isStillRun(control, caller.actor, params.id),
      isNews: (running) => !running,
    });
    return await fetchResult(control, caller.actor, params.id);
  },
  previewAction: ({ control, caller, body }) => previewAction(control, caller.actor, body),
  listRuns: ({ control, caller, query }) => listRuns(control, caller.actor, query),
  resolveRun: ({ control, caller, params, body }) => resolveRun(control, caller.actor, params.id, body),

  listGrants: ({ control, caller, query }) => listGrants(control, caller.actor, query),
  showGrant: ({ control, caller, params, query: { wait, since }, signal }) =>
    waitForNews(control, {
      channel: "grants",
      seconds: wait,
      signal,
      read: () => showGrant(control, caller.actor, params.id),
      isNews: (view) =>
        view.state === "ended" || view.state === "failed" || (since !== undefined && since !== view.state),
    }),
  fetchKey: async ({ control, caller, params, query, signal }) => {
    const outcome = await waitForNews<KeyView | "in the making">(control, {
      channel: "grants",
      seconds: query.wait,
      signal,
      read: async () => {
        if (await isStillMade(control, caller.actor, params.id)) return "in the making";
        return await fetchKey(control, caller.actor, params.id);
      },
      isNews: (found) => found !== "in the making",
    });
    // It says what is missing.
    return outcome === "in the making" ? await fetchKey(control, caller.actor, params.id) : outcome;
  },
  releaseGrant: async ({ control, caller, params }) => {
    await releaseGrant(control, caller.actor, params.id);
    return showGrant(control, caller.actor, params.id);
  },
  revokeGrant: async ({ control, caller, params, body }) => {
    await revokeGrant(control, caller.actor, params.id, body ?? { comment: "" });
    return showGrant(control, caller.actor, params.id);
  },
  reviewGrant: ({ control, caller, params, body }) => reviewGrant(control, caller.actor, params.id, body),

  listSessions: ({ control, caller, query }) => listSessions(control, caller.actor, query),
  showSession: ({ control, caller, params }) => showSession(control, caller.actor, params.id),
  endSession: ({ control, caller, params, body }) =>
    endSession(control, caller.actor, params.id, body ?? { comment: "" }),
  recording: ({ control, caller, params, query, signal }) =>
    readRecording(control, caller.actor, params.id, query, signal),

  listResources: ({ control, caller, query }) => listResources(control, caller.actor, query),
  showResource: ({ control, caller, params }) => showResource(control, caller.actor, params.name),
  applyResource: ({ control, caller, params, body }) => applyResource(control, caller.actor, params.name, body),
  removeResource: async ({ control, caller, params }) => {
    await removeResource(control, caller.actor, params.name);
  },
  checkResource: ({ control, caller, params }) => checkResource(control, caller.actor, params.name),
  listOutposts: ({ control, caller, query }) => listOutposts(control, caller.actor, query),
  createEnrolmentToken: ({ control, caller, body }) => createEnrolmentToken(control, caller.actor, body),

  currentPolicy: ({ control, caller }) => currentPolicy(control, caller.actor),
  planPolicy: ({ control, caller, body }) => planPolicy(control, caller.actor, body),
  applyPolicy: ({ control, caller, body }) => applyPolicy(control, caller.actor, body),
  simulatePolicy: ({ control, caller, body }) => simulatePolicy(control, caller.actor, body),
  policySchema: () => policyJsonSchema(),

  listPeople: ({ control, caller, query }) => listPeople(control, caller.actor, query),
  createPerson: ({ control, caller, body }) => createPerson(control, caller.actor, body),
  showPerson: ({ control, caller, params }) => showPerson(control, caller.actor, params.id),
  changePerson: ({ control, caller, params, body }) => changePerson(control, caller.actor, params.id, body),
  invite: ({ control, caller, params }) => invite(control, caller.actor, params.id),
  revokeCredential: ({ control, caller, params }) =>
    revokeCredential(control, caller.actor, params.id, params.credential),

  listTokens: ({ control, caller, query }) => listTokens(control, caller.actor, query),
  createToken: ({ control, caller, body }) => createToken(control, caller.actor, body),
  revokeToken: async ({ control, caller, params }) => {
    await revokeToken(control, caller.actor, params.id);
    return undefined;
  },

  listAudit: ({ control, caller, query }) => listAudit(control, caller.actor, query),

  listWebhooks: ({ control, caller, query }) => listWebhooks(control, caller.actor, query),
  createWebhook: ({ control, caller, body }) => createWebhook(control, caller.actor, body),
  removeWebhook: async ({ control, caller, params }) => {
    await removeWebhook(control, caller.actor, params.id);
    return undefined;
  },
};
