/**
 * One HTTP call: a base URL, a token, JSON both ways. Everything above it is typed by the contract's schemas. It follows no redirects,
 * because a token must not travel to where nobody sent it, and caps what it reads.
 */
import { CardeaError } from "@cardea/core/contract/errors";
import type { z } from "zod";
import { failureOf } from "./failure.ts";

export interface TransportOptions {
  /** Such as `http://127.0.0.1:7400`. Plain HTTP is refused for anything but loopback. */
  readonly baseUrl: string;
  /** Asked before each call, and once more with the token that was refused; the call is repeated if it then gives another. */
  readonly token?: (refused?: string) => string | undefined | Promise<string | undefined>;
  /** Injected for tests and for what a browser brings. Default: the global one. */
  readonly fetch?: typeof globalThis.fetch;
  /** Per call, beyond what it asks the server to wait. Default 30,000. */
  readonly timeoutMs?: number;
}

export interface Call<Output> {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body?: unknown;
  readonly output: z.ZodType<Output>;
  readonly idempotencyKey?: string;
  /** How long the server was asked to hold the answer back. */
  readonly waitMs?: number;
  readonly signal?: AbortSignal;
}

type Sent = Omit<Call<unknown>, "output"> & { readonly headers?: Readonly<Record<string, string>> };

const maxResponseBytes = 32 * 1024 * 1024;

export class Transport {
  readonly #options: TransportOptions;
  /** Without a slash at its end. */
  readonly baseUrl: string;

  /** @throws CardeaError `usage` for a URL that is none, or that would send tokens in clear over a network. */
  constructor(options: TransportOptions) {
    this.#options = options;
    this.baseUrl = checkedBase(options.baseUrl);
  }

  /** @throws ApiError for every answer that is not a success; CardeaError `unreachable`, `timeout` or `cancelled` where none came. */
  async call<Output>(call: Call<Output>): Promise<Output> {
    const body = await this.#send(call, async (response) => {
      const json = await readJson(response);
      if (!response.ok) throw failureOf(response.status, json);
      return json;
    });
    const parsed = call.output.safeParse(body);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      throw new CardeaError(
        "internal",
        `the control plane's answer to ${call.method} ${call.path} has another form than expected at \`${issue?.path.join(".") ?? ""}\`; are both of the same version?`,
      );
    }
    return parsed.data;
  }

  /** The raw body of a `GET`, or `undefined` where there is nothing at the path. */
  bytes(path: string, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    return this.#send({ method: "GET", path, ...(signal && { signal }) }, async (response) => {
      if (response.status === 404) {
        await response.body?.cancel();
        return undefined;
      }
      if (!response.ok) throw failureOf(response.status, await readJson(response));
      return readBytes(response);
    });
  }

  /** An open response whose body the caller reads (server-sent events); no time-out but the signal. */
  async open(path: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Response> {
    return this.#send({ method: "GET", path, signal, headers, waitMs: Number.POSITIVE_INFINITY }, async (response) => {
      if (!response.ok) throw failureOf(response.status, await readJson(response));
      return response;
    });
  }

  /** Sends, and reads the answer within the same time-out, so that a body that never ends is no way to hang a caller. */
  async #send<Answer>(call: Sent, read: (response: Response) => Promise<Answer>): Promise<Answer> {
    const token = await this.#options.token?.();
    const timeoutMs = (this.#options.timeoutMs ?? 30_000) + (call.waitMs ?? 0);
    const timeout = Number.isFinite(timeoutMs) ? AbortSignal.timeout(timeoutMs) : undefined;
    const signal = AbortSignal.any([call.signal, timeout].filter((one) => one !== undefined));
    try {
      const response = await this.#fetch(call, token, signal);
      if (response.status !== 401 || token === undefined) return await read(response);
      // Nothing happened; another token may be good.
      const renewed = await this.#options.token?.(token);
      if (renewed === undefined || renewed === token) return await read(response);
      await response.body?.cancel();
      return await read(await this.#fetch(call, renewed, signal));
    } catch (cause) {
      if (cause instanceof CardeaError) throw cause;
      if (call.signal?.aborted === true) throw new CardeaError("cancelled", "the call was cancelled", { cause });
      if (timeout?.aborted === true)
        throw new CardeaError("timeout", `the control plane at ${this.baseUrl} did not answer in time`, { cause });
      throw new CardeaError(
        "unreachable",
        `the control plane at ${this.baseUrl} cannot be reached; is it running, and is CARDEA_URL right?`,
        { cause },
      );
    }
  }

  #fetch(
    { method, path, query, body, idempotencyKey, headers }: Sent,
    token: string | undefined,
    signal: AbortSignal,
  ): Promise<Response> {
    const url = new URL(this.baseUrl + path);
    for (const [name, value] of Object.entries(query ?? {}))
      if (value !== undefined) url.searchParams.set(name, String(value));
    const send = this.#options.fetch ?? globalThis.fetch;
    return send(url, {
      method,
      redirect: "error",
      signal,
      headers: {
        accept: "application/json",
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { "content-type": "application/json" }),
        ...(idempotencyKey !== undefined && { "idempotency-key": idempotencyKey }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  }
}

function checkedBase(text: string): string {
  if (!URL.canParse(text)) throw new CardeaError("usage", `\`${text}\` is not a URL`);
  const url = new URL(text);
  const loopback = ["127.0.0.1", "localhost", "[::1]"].includes(url.hostname);
  if (url.protocol !== "https:" && !(url.protocol === "http:" && loopback)) {
    throw new CardeaError(
      "usage",
      `\`${url.origin}\` would carry tokens in clear; use https, or http on loopback only`,
    );
  }
  if (url.username !== "" || url.password !== "")
    throw new CardeaError("usage", "a URL must not hold a user or password");
  if (url.search !== "" || url.hash !== "")
    throw new CardeaError("usage", `\`${text}\` is not a base URL: it has a query or fragment`);
  return url.href.replace(/\/+$/, "");
}

async function readJson(response: Response): Promise<unknown> {
  const bytes = await readBytes(response);
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

async function readBytes(response: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  // What `fetch` streams are byte chunks.
  for await (const chunk of (response.body as ReadableStream<Uint8Array> | null) ?? []) {
    size += chunk.length;
    if (size > maxResponseBytes)
      throw new CardeaError("too_large", `the answer is larger than ${maxResponseBytes} bytes`);
    chunks.push(chunk);
  }
  const out = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    out.set(chunk, offset);
    offset += chunk.length;
  }
  return out;
}
