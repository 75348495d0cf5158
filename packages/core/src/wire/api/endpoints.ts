/* eslint-disable max-lines -- one table of every endpoint */
/**
 * Every endpoint of the HTTP API in one table: where it is, who may call it, what goes in and what comes out. The server registers a
 * handler for each name (a missing one does not compile), and the OpenAPI document is written from the same rows. No logic here.
 */
import { z } from "zod";
import { Evidence } from "../../documents/evidence.ts";
import { Name } from "../../documents/primitives.ts";
import { Trust } from "../../documents/trust.ts";
import { CredentialId, EventId, GrantId, RequestId, RunId, SessionId, SubjectId, TokenId } from "../../contract/ids.ts";
import { SealedResult } from "../delivery.ts";
import { Meta, PageQuery, WaitQuery, type Page } from "./conventions.ts";
import { CastReview, GrantQuery, GrantsPage, GrantsQuery, GrantView, KeyView, RevokeGrant } from "./grants.ts";
import {
  ApplyPolicy,
  ApplyResource,
  AuditPage,
  AuditQuery,
  CreatedWebhook,
  CreateEnrolmentToken,
  CreateWebhook,
  EnrolmentToken,
  OutpostsPage,
  PlanPolicy,
  PolicyPlan,
  PolicyView,
  ResourcesPage,
  ResourceView,
  SimulatePolicy,
  Simulation,
  WebhooksPage,
} from "./operations.ts";
import {
  Challenge,
  ChallengeRequest,
  ChangePerson,
  CreatedPerson,
  CreatedToken,
  CreatePerson,
  CreateToken,
  Enrol,
  Enrolled,
  Invitation,
  PeoplePage,
  PersonView,
  SignedIn,
  SignIn,
  TokensPage,
  WhoAmI,
  type Permission,
} from "./people.ts";
import { CastVote, RequestQuery, RequestsPage, RequestsQuery, RequestView, SubmitRequest } from "./requests.ts";
import { ListedRun, PreviewAction, PreviewView, ResolveRun, RunsPage, RunsQuery } from "./runs.ts";
import { RecordingQuery, RecordingView } from "./recordings.ts";
import { EndSession, SessionsPage, SessionsQuery, SessionView } from "./sessions.ts";

export interface Endpoint {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Parameters in braces: `/v1/requests/{id}`. */
  readonly path: `/v1/${string}`;
  readonly group:
    "requests" | "grants" | "sessions" | "resources" | "policy" | "people" | "sign-in" | "log" | "operations";
  readonly summary: string;
  /** `public`: without a sign-in. Otherwise any one of these permissions opens the door; the use case may ask for more. */
  readonly access: "public" | readonly Permission[];
  /** Only a signed-in person or device, never an API token: voting, signing, enrolling and what leads to them. */
  readonly presence?: "sign-in";
  /** Makes something, so an `Idempotency-Key` is honoured. */
  readonly creates?: true;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  /** Of a success. Absent: 204 and no body. */
  readonly reply?: z.ZodType;
}

const everybody = ["member", "auditor", "admin"] as const;
const member = ["member"] as const;
const overseer = ["auditor", "admin"] as const;
const admin = ["admin"] as const;

/** For what takes no input: an empty object or no body at all. */
const Nothing = z.strictObject({}).optional();
/** A JSON Schema, which is any object to its readers here. */
const JsonSchema = z.record(z.string(), z.unknown());
const request = z.strictObject({ id: RequestId });
const grant = z.strictObject({ id: GrantId });
const session = z.strictObject({ id: SessionId });
const run = z.strictObject({ id: RunId });
const subject = z.strictObject({ id: SubjectId });
const named = z.strictObject({ name: Name });

export const endpoints = {
  meta: {
    method: "GET",
    path: "/v1/meta",
    group: "operations",
    summary: "what answers here",
    access: "public",
    reply: Meta,
  },
  trust: {
    method: "GET",
    path: "/v1/trust",
    group: "operations",
    summary: "the trust document to pin",
    access: "public",
    reply: Trust,
  },

  enrol: {
    method: "POST",
    path: "/v1/enrolments",
    group: "sign-in",
    summary: "spend an invitation and enrol a credential",
    access: "public",
    body: Enrol,
    reply: Enrolled,
  },
  challenge: {
    method: "POST",
    path: "/v1/sign-ins/challenges",
    group: "sign-in",
    summary: "get a challenge for a credential to sign",
    access: "public",
    body: ChallengeRequest,
    reply: Challenge,
  },
  signIn: {
    method: "POST",
    path: "/v1/sign-ins",
    group: "sign-in",
    summary: "exchange a signed challenge for a token of 12 hours",
    access: "public",
    body: SignIn,
    reply: SignedIn,
  },
  signOut: {
    method: "DELETE",
    path: "/v1/sign-ins/current",
    group: "sign-in",
    summary: "end the calling sign-in",
    access: everybody,
    presence: "sign-in",
  },
  whoAmI: {
    method: "GET",
    path: "/v1/whoami",
    group: "sign-in",
    summary: "who is calling, and what they may do",
    access: everybody,
    reply: WhoAmI,
  },

  submitRequest: {
    method: "POST",
    path: "/v1/requests",
    group: "requests",
    summary: "ask for a role or an action",
    access: member,
    creates: true,
    body: SubmitRequest,
    reply: RequestView,
  },
  listRequests: {
    method: "GET",
    path: "/v1/requests",
    group: "requests",
    summary: "requests, newest first",
    access: everybody,
    query: RequestsQuery,
    reply: RequestsPage,
  },
  showRequest: {
    method: "GET",
    path: "/v1/requests/{id}",
    group: "requests",
    summary: "one request; waits for a change if asked",
    access: everybody,
    params: request,
    query: RequestQuery,
    reply: RequestView,
  },
  castVote: {
    method: "POST",
    path: "/v1/requests/{id}/votes",
    group: "requests",
    summary: "approve or deny",
    access: member,
    presence: "sign-in",
    params: request,
    body: CastVote,
    reply: RequestView,
  },
  withdrawRequest: {
    method: "POST",
    path: "/v1/requests/{id}/withdraw",
    group: "requests",
    summary: "take one's own request back",
    access: member,
    params: request,
    body: Nothing,
    reply: RequestView,
  },
  evidence: {
    method: "GET",
    path: "/v1/requests/{id}/evidence",
    group: "requests",
    summary: "everything needed to check the request's grant offline",
    access: everybody,
    params: request,
    reply: Evidence,
  },
  fetchResult: {
    method: "GET",
    path: "/v1/requests/{id}/result",
    group: "requests",
    summary: "the sealed answer of an action, for its requester only; each fetch is logged",
    access: member,
    params: request,
    query: WaitQuery,
    reply: SealedResult,
  },
  previewAction: {
    method: "POST",
    path: "/v1/previews",
    group: "requests",
    summary: "what an action would touch, and what policy would say; files nothing",
    access: member,
    body: PreviewAction,
    reply: PreviewView,
  },
  listRuns: {
    method: "GET",
    path: "/v1/runs",
    group: "requests",
    summary: "runs of approved actions, newest first",
    access: everybody,
    query: RunsQuery,
    reply: RunsPage,
  },
  resolveRun: {
    method: "POST",
    path: "/v1/runs/{id}/resolve",
    group: "requests",
    summary: "say what came of a run that nobody knew of; never one's own",
    access: admin,
    presence: "sign-in",
    params: run,
    body: ResolveRun,
    reply: ListedRun,
  },

  listGrants: {
    method: "GET",
    path: "/v1/grants",
    group: "grants",
    summary: "grants, newest first",
    access: everybody,
    query: GrantsQuery,
    reply: GrantsPage,
  },
  showGrant: {
    method: "GET",
    path: "/v1/grants/{id}",
    group: "grants",
    summary: "one grant; waits for a change of its state if asked",
    access: everybody,
    params: grant,
    query: GrantQuery,
    reply: GrantView,
  },
  fetchKey: {
    method: "GET",
    path: "/v1/grants/{id}/key",
    group: "grants",
    summary: "the sealed key, for its requester only; each fetch is logged",
    access: member,
    params: grant,
    query: WaitQuery,
    reply: KeyView,
  },
  releaseGrant: {
    method: "POST",
    path: "/v1/grants/{id}/release",
    group: "grants",
    summary: "end one's own grant early",
    access: member,
    params: grant,
    body: Nothing,
    reply: GrantView,
  },
  revokeGrant: {
    method: "POST",
    path: "/v1/grants/{id}/revoke",
    group: "grants",
    summary: "take a grant back",
    access: everybody,
    params: grant,
    body: RevokeGrant.optional(),
    reply: GrantView,
  },
  reviewGrant: {
    method: "POST",
    path: "/v1/grants/{id}/reviews",
    group: "grants",
    summary: "look back at a break-glass grant",
    access: member,
    presence: "sign-in",
    params: grant,
    body: CastReview,
    reply: GrantView,
  },

  listSessions: {
    method: "GET",
    path: "/v1/sessions",
    group: "sessions",
    summary: "connections made with keys, newest first",
    access: everybody,
    query: SessionsQuery,
    reply: SessionsPage,
  },
  showSession: {
    method: "GET",
    path: "/v1/sessions/{id}",
    group: "sessions",
    summary: "one session",
    access: everybody,
    params: session,
    reply: SessionView,
  },
  endSession: {
    method: "POST",
    path: "/v1/sessions/{id}/end",
    group: "sessions",
    summary: "close one session; its key stays",
    access: everybody,
    params: session,
    body: EndSession.optional(),
    reply: SessionView,
  },
  recording: {
    method: "GET",
    path: "/v1/sessions/{id}/recording",
    group: "sessions",
    summary: "what was done in a session, as it was recorded",
    access: everybody,
    params: session,
    query: RecordingQuery,
    reply: RecordingView,
  },

  listResources: {
    method: "GET",
    path: "/v1/resources",
    group: "resources",
    summary: "what can be asked for",
    access: everybody,
    query: PageQuery,
    reply: ResourcesPage,
  },
  showResource: {
    method: "GET",
    path: "/v1/resources/{name}",
    group: "resources",
    summary: "one resource and what the caller could ask for",
    access: everybody,
    params: named,
    reply: ResourceView,
  },
  applyResource: {
    method: "PUT",
    path: "/v1/resources/{name}",
    group: "resources",
    summary: "register or change a resource, its configuration sealed to the outpost",
    access: admin,
    presence: "sign-in",
    params: named,
    body: ApplyResource,
    reply: ResourceView,
  },
  removeResource: {
    method: "DELETE",
    path: "/v1/resources/{name}",
    group: "resources",
    summary: "take a resource away that was applied and is not in use",
    access: admin,
    presence: "sign-in",
    params: named,
  },
  checkResource: {
    method: "POST",
    path: "/v1/resources/{name}/check",
    group: "resources",
    summary: "let the outpost look at the resource now",
    access: overseer,
    params: named,
    body: Nothing,
    reply: ResourceView,
  },
  listOutposts: {
    method: "GET",
    path: "/v1/outposts",
    group: "resources",
    summary: "the outposts",
    access: overseer,
    query: PageQuery,
    reply: OutpostsPage,
  },
  createEnrolmentToken: {
    method: "POST",
    path: "/v1/outposts/enrolments",
    group: "resources",
    summary: "make a token by which one outpost enrols",
    access: admin,
    presence: "sign-in",
    creates: true,
    body: CreateEnrolmentToken.optional(),
    reply: EnrolmentToken,
  },

  currentPolicy: {
    method: "GET",
    path: "/v1/policy",
    group: "policy",
    summary: "the policy in force",
    access: everybody,
    reply: PolicyView,
  },
  planPolicy: {
    method: "POST",
    path: "/v1/policy/plans",
    group: "policy",
    summary: "what applying a policy would change",
    access: overseer,
    body: PlanPolicy,
    reply: PolicyPlan,
  },
  applyPolicy: {
    method: "POST",
    path: "/v1/policy",
    group: "policy",
    summary: "bring a policy into force",
    access: admin,
    presence: "sign-in",
    body: ApplyPolicy,
    reply: PolicyView,
  },
  simulatePolicy: {
    method: "POST",
    path: "/v1/policy/simulations",
    group: "policy",
    summary: "past requests, decided by another policy",
    access: overseer,
    body: SimulatePolicy,
    reply: Simulation,
  },
  policySchema: {
    method: "GET",
    path: "/v1/policy/schema",
    group: "policy",
    summary: "the policy document as JSON Schema, for editors",
    access: "public",
    reply: JsonSchema,
  },

  listPeople: {
    method: "GET",
    path: "/v1/people",
    group: "people",
    summary: "the subjects",
    access: overseer,
    query: PageQuery,
    reply: PeoplePage,
  },
  createPerson: {
    method: "POST",
    path: "/v1/people",
    group: "people",
    summary: "add a subject; a human is invited with it",
    access: admin,
    presence: "sign-in",
    creates: true,
    body: CreatePerson,
    reply: CreatedPerson,
  },
  showPerson: {
    method: "GET",
    path: "/v1/people/{id}",
    group: "people",
    summary: "one subject: oneself, or any for an auditor or admin",
    access: everybody,
    params: subject,
    reply: PersonView,
  },
  changePerson: {
    method: "PATCH",
    path: "/v1/people/{id}",
    group: "people",
    summary: "change groups, claims, permissions, identities or standing",
    access: admin,
    presence: "sign-in",
    params: subject,
    body: ChangePerson,
    reply: PersonView,
  },
  invite: {
    method: "POST",
    path: "/v1/people/{id}/invitations",
    group: "people",
    summary: "make a single-use invitation to enrol a credential",
    access: admin,
    presence: "sign-in",
    creates: true,
    params: subject,
    body: Nothing,
    reply: Invitation,
  },
  revokeCredential: {
    method: "DELETE",
    path: "/v1/people/{id}/credentials/{credential}",
    group: "people",
    summary: "take a credential away: one's own, or any for an admin",
    access: everybody,
    presence: "sign-in",
    params: z.strictObject({ id: SubjectId, credential: CredentialId }),
    reply: PersonView,
  },

  listTokens: {
    method: "GET",
    path: "/v1/tokens",
    group: "people",
    summary: "one's own API tokens",
    access: everybody,
    query: PageQuery,
    reply: TokensPage,
  },
  createToken: {
    method: "POST",
    path: "/v1/tokens",
    group: "people",
    summary: "make an API token with a part of one's own permissions",
    access: everybody,
    presence: "sign-in",
    creates: true,
    body: CreateToken,
    reply: CreatedToken,
  },
  revokeToken: {
    method: "DELETE",
    path: "/v1/tokens/{id}",
    group: "people",
    summary: "take an API token away: one's own, or any for an admin",
    access: everybody,
    params: z.strictObject({ id: TokenId }),
  },

  listAudit: {
    method: "GET",
    path: "/v1/audit",
    group: "log",
    summary: "entries of the log with what the caller may see beside them",
    access: everybody,
    query: AuditQuery,
    reply: AuditPage,
  },

  listWebhooks: {
    method: "GET",
    path: "/v1/webhooks",
    group: "operations",
    summary: "where notifications are sent",
    access: admin,
    query: PageQuery,
    reply: WebhooksPage,
  },
  createWebhook: {
    method: "POST",
    path: "/v1/webhooks",
    group: "operations",
    summary: "send notifications to a URL, signed as Standard Webhooks",
    access: admin,
    presence: "sign-in",
    creates: true,
    body: CreateWebhook,
    reply: CreatedWebhook,
  },
  removeWebhook: {
    method: "DELETE",
    path: "/v1/webhooks/{id}",
    group: "operations",
    summary: "send there no longer",
    access: admin,
    params: z.strictObject({ id: EventId }),
  },
} as const satisfies Record<string, Endpoint>;

export type EndpointName = keyof typeof endpoints;

type Output<T> = T extends z.ZodType ? z.output<T> : undefined;

/** What the handler of an endpoint is given, parsed. */
export interface EndpointInput<E extends Endpoint> {
  readonly params: Output<E["params"]>;
  readonly query: Output<E["query"]>;
  readonly body: Output<E["body"]>;
}

/** What it answers. */
export type EndpointReply<E extends Endpoint> = E extends { readonly reply: z.ZodType }
  ? ReplyOf<z.output<E["reply"]>>
  : undefined;
type ReplyOf<View> = View extends { items: (infer Item)[] } ? Page<Item> : View;
