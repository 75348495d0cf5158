import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { Webhook } from "standardwebhooks";
import type { Cidr } from "@cardea/core/lib/cidr";
import type { SendOutcome } from "./send-outcome.ts";
import { checkWebhookUrl, guardedLookup, mayCall } from "./addresses.ts";

/** One message for one webhook. */
export interface WebhookMessage {
  readonly url: string;
  /** `whsec_…` */
  readonly secret: string;
  /** Stays the same over every attempt, so that a receiver can drop what it has. */
  readonly id: string;
  readonly at: Date;
  readonly body: string;
}

export interface WebhookLimits {
  /** From connecting to the answer's status. */
  readonly timeoutMs: number;
  /** Networks that may be called although they would be refused. */
  readonly allowed: readonly Cidr[];
}

/**
 * Posts a message, signed as Standard Webhooks prescribe. A status of 2xx is success; a redirect is not followed, because the URL was
 * the one that an administrator chose. The answer's body is not read.
 */
export async function sendWebhook(
  message: WebhookMessage,
  { timeoutMs, allowed }: WebhookLimits,
  signal: AbortSignal,
): Promise<SendOutcome> {
  try {
    const status = await post(message, timeoutMs, allowed, signal);
    if (status >= 200 && status < 300) return { ok: true };
    return { ok: false, detail: `the receiver answered with status ${status}`, targetFailed: true };
  } catch (error) {
    return { ok: false, detail: signal.aborted ? "sending was interrupted" : wordsOf(error), targetFailed: true };
  }
}

async function post(
  { url: text, secret, id, at, body }: WebhookMessage,
  timeoutMs: number,
  allowed: readonly Cidr[],
  signal: AbortSignal,
): Promise<number> {
  // Stored rows can be edited by whoever holds the database, so what was checked at creation is checked again.
  const url = checkWebhookUrl(text);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (/^[0-9.]+$|:/.test(host) && !mayCall(url, host, allowed))
    throw new Error(`\`${host}\` is an address where notifications may not go`);
  const send = url.protocol === "https:" ? httpsRequest : httpRequest;
  const deadline = AbortSignal.timeout(timeoutMs);
  const response = await new Promise<IncomingMessage>((answered, failed) => {
    const call = send(url, {
      method: "POST",
      agent: false,
      lookup: guardedLookup(url, allowed),
      signal: AbortSignal.any([deadline, signal]),
      headers: {
        "content-type": "application/json",
        "content-length": Buffer.byteLength(body),
        "user-agent": "cardea-webhooks/1",
        "webhook-id": id,
        "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
        "webhook-signature": new Webhook(secret).sign(id, at, body),
      },
    });
    call.once("response", answered);
    call.once("error", (error) =>
      failed(deadline.aborted ? new Error(`no answer within ${timeoutMs / 1_000} s`) : error),
    );
    call.end(body);
  });
  response.destroy();
  return response.statusCode ?? 0;
}

/** Codes and our own words; nothing that a receiver said. */
function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return "sending failed";
  return ("code" in error && typeof error.code === "string" ? `${error.code}: ${error.message}` : error.message).slice(
    0,
    300,
  );
}
