/**
 * The server's side of SCRAM-SHA-256(-PLUS), as values: two steps, each from the client's message to ours. The caller moves the bytes.
 * Knows verifiers, never secrets. (RFC 5802, sections 5 to 7; channel binding: RFC 5929, section 4.)
 */
import type { ScramVerifier } from "../../gateway.ts";
import { attributes, base64, bindingName, boundMechanism, equal, hmac, plainMechanism, sha256, xor } from "./scram.ts";

/** What the client's first message said. */
export interface FirstMessage {
  /** The header about channel binding, which the client repeats under its proof. */
  readonly header: string;
  readonly bare: string;
  readonly clientNonce: string;
}

/** Mechanisms that are offered on a connection; `binding` is the hash of our certificate where there is one. */
export function offered(binding: Uint8Array | undefined): readonly string[] {
  return binding === undefined ? [plainMechanism] : [boundMechanism, plainMechanism];
}

/**
 * Reads `client-first-message`. `undefined` where it is malformed, or where somebody has hidden the mechanism with channel binding from
 * a client that could have used it.
 */
export function readFirst(text: string, mechanism: string, binding: Uint8Array | undefined): FirstMessage | undefined {
  const match =
    /^(?<header>(?<flag>n|y|p=[A-Za-z0-9.-]+),(?:a=[^,]*)?,)(?<bare>n=[^,]*,r=(?<nonce>[\x21-\x2b\x2d-\x7e]{8,512})(?:,.*)?)$/s.exec(
      text,
    );
  const { header, flag, bare, nonce } = match?.groups ?? {};
  if (header === undefined || flag === undefined || bare === undefined || nonce === undefined) return undefined;
  if (!header.endsWith(",,")) return undefined; // another authorisation identity is nothing we know
  switch (flag) {
    case "n":
      if (mechanism !== plainMechanism) return undefined;
      break;
    case "y":
      if (mechanism !== plainMechanism || binding !== undefined) return undefined;
      break;
    default:
      if (mechanism !== boundMechanism || binding === undefined || flag !== `p=${bindingName}`) return undefined;
  }
  return { header, bare, clientNonce: nonce };
}

/** One exchange, from the client's first message on. */
export class ScramExchange {
  readonly #first: FirstMessage;
  readonly #verifier: ScramVerifier;
  readonly #expectedBinding: Buffer;
  readonly #nonce: string;
  /** `server-first-message`. */
  readonly challenge: string;

  /** `serverNonce`: printable, without comma, new for each exchange. */
  constructor(first: FirstMessage, verifier: ScramVerifier, binding: Uint8Array | undefined, serverNonce: string) {
    this.#first = first;
    this.#verifier = verifier;
    const bound = first.header.startsWith("p=") && binding !== undefined ? binding : new Uint8Array();
    this.#expectedBinding = Buffer.concat([Buffer.from(first.header), bound]);
    this.#nonce = first.clientNonce + serverNonce;
    this.challenge = `r=${this.#nonce},s=${Buffer.from(verifier.salt).toString("base64")},i=${verifier.iterations}`;
  }

  /** Checks `client-final-message`: our `server-final-message` where the secret is proven. */
  finish(text: string): string | undefined {
    const split = text.lastIndexOf(",p=");
    if (split < 0) return undefined;
    const withoutProof = text.slice(0, split);
    const proof = base64(text.slice(split + 3));
    const [channel, nonce] = attributes(withoutProof, ["c", "r"]) ?? [];
    const bindingShown = channel === undefined ? undefined : base64(channel);
    const wellFormed =
      nonce === this.#nonce && bindingShown?.equals(this.#expectedBinding) === true && proof?.length === 32;
    const authMessage = `${this.#first.bare},${this.challenge},${withoutProof}`;
    const signature = hmac(this.#verifier.storedKey, authMessage);
    const clientKey = xor(signature, proof?.length === 32 ? proof : signature);
    const proven = equal(sha256(clientKey), this.#verifier.storedKey);
    if (!proven || !wellFormed) return undefined;
    return `v=${hmac(this.#verifier.serverKey, authMessage).toString("base64")}`;
  }
}
