import { createTransport, type Transporter } from "nodemailer";
import type { MailSettings } from "../control.ts";
import type { SendOutcome } from "./send-outcome.ts";

export interface MailMessage {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  /** Stays the same over every attempt. */
  readonly messageId: string;
}

export interface Mailer {
  send(message: MailMessage): Promise<SendOutcome>;
  close(): void;
}

/** A mail server's answers to one recipient, as opposed to its being away. */
const permanent = 500;

/** Opens connections when there is something to send. Every step has a time-out, so a server that hangs costs one worker that long and no more. */
export function openMailer({ url, from }: MailSettings, timeoutMs: number): Mailer {
  const transport = createTransport({
    url,
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    dnsTimeout: timeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return {
    send: (message) => send(transport, from, message),
    close: () => transport.close(),
  };
}

async function send(
  transport: Transporter,
  from: string,
  { to, subject, text, messageId }: MailMessage,
): Promise<SendOutcome> {
  try {
    // An address object is taken as it is: a name with a comma never becomes two recipients.
    await transport.sendMail({
      from,
      to: { name: "", address: to },
      subject,
      text,
      messageId,
      headers: { "auto-submitted": "auto-generated" },
    });
    return { ok: true };
  } catch (error) {
    const code =
      error instanceof Error && "responseCode" in error && typeof error.responseCode === "number"
        ? error.responseCode
        : undefined;
    const refusedRecipient =
      error instanceof Error &&
      "command" in error &&
      typeof error.command === "string" &&
      /^(?:RCPT|DATA)/.test(error.command);
    const detail = code === undefined ? "the mail server cannot be reached" : `the mail server answered with ${code}`;
    // Whoever refuses one recipient may well take the next; whoever is away or refuses to talk refuses everybody.
    return {
      ok: false,
      detail,
      targetFailed: !(code !== undefined && refusedRecipient),
      ...(code !== undefined && code >= permanent && refusedRecipient && { permanent: true }),
    };
  }
}
