/**
 * The typed client of Cardea's API. A method per use case, its input and output the contract's schemas; no state but the
 * transport. Commands, the web page and other people's programs use it alike.
 */
import * as common from "@cardea/core/wire/api/conventions";
import * as grants from "@cardea/core/wire/api/grants";
import * as operations from "@cardea/core/wire/api/operations";
import * as people from "@cardea/core/wire/api/people";
import * as recordings from "@cardea/core/wire/api/recordings";
import * as requests from "@cardea/core/wire/api/requests";
import * as runs from "@cardea/core/wire/api/runs";
import * as sessions from "@cardea/core/wire/api/sessions";
import { CardeaError } from "@cardea/core/contract/errors";
import type { GrantId, RequestId, RunId, SessionId, SubjectId } from "@cardea/core/contract/ids";
import { SealedResult } from "@cardea/core/wire/delivery";
import { Evidence } from "@cardea/core/documents/evidence";
import { Trust } from "@cardea/core/documents/trust";
import { z } from "zod";
import { Transport, type TransportOptions } from "./transport.ts";

type Query = Readonly<Record<string, string | number | boolean | undefined>>;
interface Waiting {
  /** Seconds, 60 at most. */
  readonly wait?: number;
  readonly signal?: AbortSignal;
}

const Nothing = z.unknown();
/** As long as an outpost may take to say what an action is. */
const previewMs = 15_000;

export class CardeaClient {
  readonly transport: Transport;

  constructor(options: TransportOptions) {
    this.transport = new Transport(options);
  }

  meta = () => this.#get("/v1/meta", common.Meta);
  trust = () => this.#get("/v1/trust", Trust);
  whoAmI = () => this.#get("/v1/whoami", people.WhoAmI);

  enrol = (body: people.Enrol) => this.#post("/v1/enrolments", body, people.Enrolled);
  challenge = (credential: string) => this.#post("/v1/sign-ins/challenges", { credential }, people.Challenge);
  signIn = (challenge: string, signature: string) =>
    this.#post("/v1/sign-ins", { challenge, signature }, people.SignedIn);
  signOut = () => this.#call("DELETE", "/v1/sign-ins/current");

  resources = (query: Query = {}) => this.#get("/v1/resources", operations.ResourcesPage, query);
  resource = (name: string) => this.#get(`/v1/resources/${encodeURIComponent(name)}`, operations.ResourceView);
  applyResource = (name: string, body: operations.ApplyResource) =>
    this.transport.call({
      method: "PUT",
      path: `/v1/resources/${encodeURIComponent(name)}`,
      body,
      output: operations.ResourceView,
      waitMs: 60_000,
    });
  removeResource = (name: string) =>
    this.transport.call({
      method: "DELETE",
      path: `/v1/resources/${encodeURIComponent(name)}`,
      output: Nothing,
      waitMs: 60_000,
    });
  checkResource = (name: string) =>
    this.transport.call({
      method: "POST",
      path: `/v1/resources/${encodeURIComponent(name)}/check`,
      body: {},
      output: operations.ResourceView,
      waitMs: 60_000,
    });

  submit = (body: requests.SubmitRequest, idempotencyKey?: string) =>
    this.#post(
      "/v1/requests",
      body,
      requests.RequestView,
      idempotencyKey,
      "action" in body.ask ? previewMs : undefined,
    );
  requests = (query: Query = {}) => this.#get("/v1/requests", requests.RequestsPage, query);
  request = (id: RequestId, { wait = 0, signal, since }: Waiting & { since?: string } = {}) =>
    this.transport.call({
      method: "GET",
      path: `/v1/requests/${id}`,
      query: { wait, since },
      waitMs: wait * 1_000,
      output: requests.RequestView,
      ...(signal && { signal }),
    });
  vote = (id: RequestId, body: requests.CastVote) => this.#post(`/v1/requests/${id}/votes`, body, requests.RequestView);
  withdraw = (id: RequestId) => this.#post(`/v1/requests/${id}/withdraw`, {}, requests.RequestView);
  evidence = (id: RequestId) => this.#get(`/v1/requests/${id}/evidence`, Evidence);

  preview = (body: runs.PreviewAction) => this.#post("/v1/previews", body, runs.PreviewView, undefined, previewMs);
  /** The sealed answer of an action that has run; `openSealedResult` opens it. @throws CardeaError `not_found` while there is none */
  result = (id: RequestId, { wait = 0, signal }: Waiting = {}) =>
    this.transport.call({
      method: "GET",
      path: `/v1/requests/${id}/result`,
      query: { wait },
      waitMs: wait * 1_000,
      output: SealedResult,
      ...(signal && { signal }),
    });
  runs = (query: Query = {}) => this.#get("/v1/runs", runs.RunsPage, query);
  resolveRun = (id: RunId, body: runs.ResolveRun) => this.#post(`/v1/runs/${id}/resolve`, body, runs.ListedRun);
  /** An approved action's request once its run is over, or as it is after `seconds`. */
  async ran(id: RequestId, { wait = 60, signal }: Waiting = {}): Promise<requests.RequestView> {
    return await this.request(id, { wait, since: "approved", ...(signal && { signal }) });
  }

  grants = (query: Query = {}) => this.#get("/v1/grants", grants.GrantsPage, query);
  grant = (id: GrantId, { wait = 0, signal, since }: Waiting & { since?: string } = {}) =>
    this.transport.call({
      method: "GET",
      path: `/v1/grants/${id}`,
      query: { wait, since },
      waitMs: wait * 1_000,
      output: grants.GrantView,
      ...(signal && { signal }),
    });
  key = (id: GrantId, { wait = 0, signal }: Waiting = {}) =>
    this.transport.call({
      method: "GET",
      path: `/v1/grants/${id}/key`,
      query: { wait },
      waitMs: wait * 1_000,
      output: grants.KeyView,
      ...(signal && { signal }),
    });
  release = (id: GrantId) => this.#post(`/v1/grants/${id}/release`, {}, grants.GrantView);
  revoke = (id: GrantId, comment = "") => this.#post(`/v1/grants/${id}/revoke`, { comment }, grants.GrantView);
  review = (id: GrantId, body: grants.CastReview) => this.#post(`/v1/grants/${id}/reviews`, body, grants.GrantView);

  sessions = (query: Query = {}) => this.#get("/v1/sessions", sessions.SessionsPage, query);
  session = (id: SessionId) => this.#get(`/v1/sessions/${id}`, sessions.SessionView);
  /** A part of a session's recording from this place on; `wait` waits for what comes next. */
  recording = (
    id: SessionId,
    { from = 0, values = false, wait = 0, signal }: Waiting & { from?: number; values?: boolean } = {},
  ) =>
    this.transport.call({
      method: "GET",
      path: `/v1/sessions/${id}/recording`,
      query: { from, wait, ...(values && { values }) },
      waitMs: wait * 1_000,
      output: recordings.RecordingView,
      ...(signal && { signal }),
    });
  endSession = (id: SessionId, comment = "") => this.#post(`/v1/sessions/${id}/end`, { comment }, sessions.SessionView);

  policy = () => this.#get("/v1/policy", operations.PolicyView);
  planPolicy = (source: string) => this.#post("/v1/policy/plans", { source }, operations.PolicyPlan);
  applyPolicy = (source: string, base: number) => this.#post("/v1/policy", { source, base }, operations.PolicyView);
  simulatePolicy = (source: string, since?: string) =>
    this.#post("/v1/policy/simulations", { source, ...(since !== undefined && { since }) }, operations.Simulation);

  people = (query: Query = {}) => this.#get("/v1/people", people.PeoplePage, query);
  person = (id: SubjectId) => this.#get(`/v1/people/${id}`, people.PersonView);
  createPerson = (body: people.CreatePerson) => this.#post("/v1/people", body, people.CreatedPerson);
  changePerson = (id: SubjectId, body: people.ChangePerson) =>
    this.#call("PATCH", `/v1/people/${id}`, body, people.PersonView);
  invite = (id: SubjectId) => this.#post(`/v1/people/${id}/invitations`, {}, people.Invitation);
  revokeCredential = (id: SubjectId, credential: string) =>
    this.#call(
      "DELETE",
      `/v1/people/${id}/credentials/${encodeURIComponent(credential)}`,
      undefined,
      people.PersonView,
    );

  tokens = (query: Query = {}) => this.#get("/v1/tokens", people.TokensPage, query);
  createToken = (body: people.CreateToken) => this.#post("/v1/tokens", body, people.CreatedToken);
  revokeToken = (id: string) => this.#call("DELETE", `/v1/tokens/${encodeURIComponent(id)}`);

  outposts = (query: Query = {}) => this.#get("/v1/outposts", operations.OutpostsPage, query);
  createEnrolmentToken = (input: { readonly name?: string } = {}) =>
    this.#post("/v1/outposts/enrolments", input, operations.EnrolmentToken);

  audit = (query: Query = {}) => this.#get("/v1/audit", operations.AuditPage, query);
  webhooks = (query: Query = {}) => this.#get("/v1/webhooks", operations.WebhooksPage, query);
  createWebhook = (body: operations.CreateWebhook) => this.#post("/v1/webhooks", body, operations.CreatedWebhook);
  deleteWebhook = (id: string) => this.#call("DELETE", `/v1/webhooks/${encodeURIComponent(id)}`);

  /** The newest signed checkpoint, as a note. */
  async checkpoint(): Promise<string> {
    const bytes = await this.transport.bytes("/v1/log/checkpoint");
    if (bytes === undefined) throw new CardeaError("not_found", "the log has no checkpoint yet");
    return new TextDecoder().decode(bytes);
  }

  /** A tile or entry bundle by its `tile/…` path, or `undefined` where the log has none. */
  tile = (path: string, signal?: AbortSignal) => this.transport.bytes(`/v1/log/${path}`, signal);

  #get<Output>(path: string, output: z.ZodType<Output>, query: Query = {}): Promise<Output> {
    return this.transport.call({ method: "GET", path, query, output });
  }

  #post<Output>(
    path: string,
    body: unknown,
    output: z.ZodType<Output>,
    idempotencyKey?: string,
    waitMs?: number,
  ): Promise<Output> {
    return this.transport.call({
      method: "POST",
      path,
      body,
      output,
      ...(idempotencyKey !== undefined && { idempotencyKey }),
      ...(waitMs !== undefined && { waitMs }),
    });
  }

  #call<Output>(method: "PATCH" | "DELETE", path: string, body?: unknown, output?: z.ZodType<Output>): Promise<Output> {
    // Where no output is named nobody reads one.
    return this.transport.call({
      method,
      path,
      output: output ?? (Nothing as z.ZodType<Output>),
      ...(body !== undefined && { body }),
    });
  }
}
