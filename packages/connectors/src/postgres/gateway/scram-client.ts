/**
 * The client's side of SCRAM-SHA-256(-PLUS) towards the resource, as values. The server proves that it knows the verifier, too: a
 * stranger in its place learns nothing and is not believed. (RFC 5802; channel binding: RFC 5929, section 4.)
 */
import {
  attributes,
  base64,
  bindingName,
  boundMechanism,
  equal,
  hmac,
  plainMechanism,
  scramKeys,
  xor,
} from "./scram.ts";

/** More rounds than anybody configures would only keep us busy. */
const maxIterations = 1_000_000;

export class ScramClient {
  readonly mechanism: string;
  /** `client-first-message`. */
  readonly first: string;
  readonly #secret: string;
  readonly #header: string;
  readonly #binding: Uint8Array;
  readonly #nonce: string;
  #serverSignature: Buffer | undefined;

  /** `binding`: the hash of the server's certificate on a protected connection. `undefined` where the server offers nothing we know. */
  static choose(
    mechanisms: readonly string[],
    secret: string,
    binding: Uint8Array | undefined,
    nonce: string,
  ): ScramClient | undefined {
    if (binding !== undefined && mechanisms.includes(boundMechanism))
      return new ScramClient(boundMechanism, `p=${bindingName},,`, secret, binding, nonce);
    if (!mechanisms.includes(plainMechanism)) return undefined;
    // `y`: we could have bound the channel; the server, if it offered that, sees that somebody removed its offer.
    return new ScramClient(plainMechanism, binding === undefined ? "n,," : "y,,", secret, new Uint8Array(), nonce);
  }

  private constructor(mechanism: string, header: string, secret: string, binding: Uint8Array, nonce: string) {
    this.mechanism = mechanism;
    this.#header = header;
    this.#secret = secret;
    this.#binding = binding;
    this.#nonce = nonce;
    this.first = `${header}${this.#bare}`;
  }

  get #bare(): string {
    return `n=,r=${this.#nonce}`;
  }

  /** Answers `server-first-message` with `client-final-message`; `undefined` where it is malformed. */
  async respond(challenge: string): Promise<string | undefined> {
    const [nonce, saltText, rounds] = attributes(challenge, ["r", "s", "i"]) ?? [];
    const salt = saltText === undefined ? undefined : base64(saltText);
    const iterations = /^[1-9][0-9]{0,7}$/.test(rounds ?? "") ? Number(rounds) : 0;
    if (nonce?.startsWith(this.#nonce) !== true || nonce.length === this.#nonce.length) return undefined;
    if (salt === undefined || salt.length === 0 || iterations === 0 || iterations > maxIterations) return undefined;
    const keys = await scramKeys(this.#secret, salt, iterations);
    const channel = Buffer.concat([Buffer.from(this.#header), this.#binding]).toString("base64");
    const withoutProof = `c=${channel},r=${nonce}`;
    const authMessage = `${this.#bare},${challenge},${withoutProof}`;
    this.#serverSignature = hmac(keys.serverKey, authMessage);
    const proof = xor(keys.clientKey, hmac(keys.storedKey, authMessage));
    return `${withoutProof},p=${proof.toString("base64")}`;
  }

  /** Whether `server-final-message` proves that the server knows the verifier. */
  accepts(final: string): boolean {
    const [value] = attributes(final, ["v"]) ?? [];
    const signature = value === undefined ? undefined : base64(value);
    return signature !== undefined && this.#serverSignature !== undefined && equal(signature, this.#serverSignature);
  }
}
