/**
 * Sends what the outbox holds: webhooks and mail. One loop for each process; they share the work by leased rows. A receiver that fails is tried
 * again for ever with growing pauses and shown as failing (each piece of news for three days); one that hangs holds up its own deliveries and no others. Sent at least once: a
 * crash between sending and noting it sends again, under the same message id.
 */
import { timeMs, toTime } from "@cardea/core/documents/primitives";
import type { Cidr } from "@cardea/core/lib/cidr";
import type { Control } from "../control.ts";
import { currentRoster } from "../people/roster.ts";
import {
  claimDeliveries,
  markAbandoned,
  markDelivered,
  markFailed,
  maybeOneNextDelivery,
  maybeOneNotification,
  maybeOneWebhook,
  oneTargetFailures,
  purgeNotifications,
  type DueDelivery,
} from "../store/notifications.ts";
import { unseal } from "../store/sealed.ts";
import { mailText, webhookBody } from "./message.ts";
import type { SendOutcome } from "./send-outcome.ts";
import { openMailer, type Mailer } from "./send-mail.ts";
import { sendWebhook } from "./send-webhook.ts";

export interface NotifierOptions {
  /** From connecting to the receiver's answer. Default 10,000. */
  readonly timeoutMs?: number;
  /** Deliveries on their way at once. Default 8. */
  readonly concurrency?: number;
  /** Networks that webhooks may call although they are refused otherwise, such as link-local ones. Default: none. */
  readonly allowedNetworks?: readonly Cidr[];
  /** The first pause after a failure; each further one is twice as long, an hour at most. Default 5,000. */
  readonly firstPauseMs?: number;
}

export interface Notifier {
  /** Interrupts what is on its way (it is sent again later) and waits for it. */
  close(): Promise<void>;
}

const pollMs = 5_000;
const maxPauseMs = 3_600_000;
const purgeEveryMs = 600_000;
/** What could not be delivered for three days is no news any more; without an end, a dead receiver's backlog would only grow. */
const abandonAfterMs = 3 * 86_400_000;

export function startNotifier(control: Control, options: NotifierOptions = {}): Notifier {
  const closing = new AbortController();
  const sender = new Sender(control, options, closing.signal);
  const running = sender.run();
  return {
    close: async () => {
      closing.abort();
      await running;
    },
  };
}

class Sender {
  readonly #control: Control;
  readonly #signal: AbortSignal;
  readonly #timeoutMs: number;
  readonly #concurrency: number;
  readonly #firstPauseMs: number;
  readonly #allowed: readonly Cidr[];
  readonly #mailer: Mailer | undefined;
  /** By target; at most one for each. */
  readonly #onTheWay = new Map<string, Promise<void>>();
  /** Called when a delivery is done, however it went. */
  #finished: () => void = () => undefined;
  #purgeAtMs = 0;

  constructor(control: Control, options: NotifierOptions, signal: AbortSignal) {
    this.#control = control;
    this.#signal = signal;
    this.#timeoutMs = options.timeoutMs ?? 10_000;
    this.#concurrency = options.concurrency ?? 8;
    this.#firstPauseMs = options.firstPauseMs ?? 5_000;
    this.#allowed = options.allowedNetworks ?? [];
    const { mail } = control.settings;
    this.#mailer = mail === undefined ? undefined : openMailer(mail, this.#timeoutMs);
  }

  async run(): Promise<void> {
    while (!this.#signal.aborted) {
      // Waiting begins before looking, so that what is written or finished in between is not missed.
      const finished = new Promise<void>((resolve) => (this.#finished = resolve));
      const looked = new AbortController();
      const signal = AbortSignal.any([this.#signal, looked.signal]);
      const woken = this.#control.wake.wait("notifications", pollMs, signal);
      const dueInMs = await this.#look();
      await Promise.race([woken, later(dueInMs, signal), finished]);
      looked.abort();
    }
    await Promise.all(this.#onTheWay.values());
    this.#mailer?.close();
  }

  /** Starts what is due. Answers after how long to look again, in milliseconds. */
  async #look(): Promise<number> {
    const { db, clock, log } = this.#control;
    try {
      const now = clock.now();
      const free = this.#concurrency - this.#onTheWay.size;
      const claim = {
        now: toTime(now),
        until: toTime(now + 3 * this.#timeoutMs),
        busy: [...this.#onTheWay.keys()],
        limit: free,
      };
      for (const delivery of free > 0 ? await claimDeliveries(db, claim) : []) this.#start(delivery);
      if (now >= this.#purgeAtMs) {
        this.#purgeAtMs = now + purgeEveryMs;
        await purgeNotifications(db, toTime(now));
      }
      const next = free > 0 ? await maybeOneNextDelivery(db, [...this.#onTheWay.keys()]) : undefined;
      return next === undefined ? pollMs : Math.min(pollMs, Math.max(20, timeMs(next) - clock.now()));
    } catch (error) {
      log.warn({ err: error }, "looking for notifications to send failed; it is tried again");
      return pollMs;
    }
  }

  #start(delivery: DueDelivery): void {
    const sending = this.#deliver(delivery)
      .catch((error: unknown) =>
        this.#control.log.warn({ err: error, delivery: delivery.id }, "noting a delivery failed; it is sent again"),
      )
      .finally(() => {
        this.#onTheWay.delete(delivery.target);
        this.#finished();
      });
    this.#onTheWay.set(delivery.target, sending);
  }

  async #deliver(delivery: DueDelivery): Promise<void> {
    const { db, clock, log } = this.#control;
    const outcome = await this.#send(delivery);
    const now = clock.now();
    if (outcome.ok) return markDelivered(db, delivery, toTime(now));
    log.info(
      { delivery: delivery.id, target: delivery.target, attempts: delivery.attempts, detail: outcome.detail },
      "a notification was not delivered",
    );
    if (outcome.permanent === true) return markAbandoned(db, delivery, outcome.detail);
    const failures = outcome.targetFailed ? await oneTargetFailures(db, delivery.target) : delivery.attempts - 1;
    await markFailed(db, delivery, {
      nextAt: toTime(now + this.#pauseMs(failures)),
      detail: outcome.detail,
      targetFailed: outcome.targetFailed,
    });
  }

  async #send(delivery: DueDelivery): Promise<SendOutcome> {
    const { db, clock } = this.#control;
    const notification = await maybeOneNotification(db, delivery.notification_id);
    if (notification === undefined) return gone("the notification is no longer there");
    if (timeMs(notification.created_at) < clock.now() - abandonAfterMs) return gone("it is too old to be news");
    const roster = await currentRoster(this.#control);
    if (delivery.webhook_id !== null) {
      const webhook = await maybeOneWebhook(db, delivery.webhook_id);
      const secret =
        webhook === undefined ? undefined : unseal(this.#control, "webhook", delivery.webhook_id, webhook.secret);
      if (webhook === undefined || secret === undefined) return gone("the webhook is no longer there");
      const body = JSON.stringify(webhookBody(notification, roster));
      const message = { url: webhook.url, secret, id: notification.id, at: new Date(clock.now()), body };
      return sendWebhook(message, { timeoutMs: this.#timeoutMs, allowed: this.#allowed }, this.#signal);
    }
    const to = delivery.recipient === null ? undefined : roster.email(delivery.recipient);
    if (to === undefined || delivery.recipient === null || this.#mailer === undefined)
      return gone("there is no address to write to");
    if (!roster.isActive(delivery.recipient)) return gone("the recipient is no longer active");
    const host = new URL(this.#control.settings.publicUrl).hostname;
    return this.#mailer.send({
      to,
      ...mailText(notification, this.#control.settings.publicUrl),
      messageId: `<${notification.id}.${delivery.recipient}@${host}>`,
    });
  }

  /** Twice as long each time, an hour at most, and between half and all of that at random, so that many do not come back together. */
  #pauseMs(failures: number): number {
    const fullMs = Math.min(maxPauseMs, this.#firstPauseMs * 2 ** Math.min(failures, 20));
    const [byte = 0] = this.#control.random.bytes(1);
    return Math.ceil(fullMs / 2 + (fullMs / 2) * (byte / 255));
  }
}

function gone(detail: string): SendOutcome {
  return { ok: false, detail, targetFailed: false, permanent: true };
}

function later(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
  });
}
