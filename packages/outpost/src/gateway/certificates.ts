/** The certificates that gateways show: given ones, or the outpost's own. */
import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { unwatchFile, watchFile } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createSecureContext, type SecureContext } from "node:tls";
import type { Logger } from "pino";
import { z } from "zod";
import { CardeaError } from "@cardea/core/contract/errors";
import type { GatewayAddress } from "@cardea/connectors/connector";
import type { Clock } from "@cardea/core/lib/clock";
import type { Random } from "@cardea/core/lib/random";
import { readWhole, writeWhole } from "../whole-file.ts";
import { newCertificate, newP256Key } from "./certificate.ts";

/** What one gateway shows, and how clients know it. */
export interface Certificate {
  secureContext(): SecureContext;
  readonly known: GatewayAddress["tls"];
  /** Stops what keeps it current. */
  close(): void;
}

/** Between looks at given files. */
const lookEveryMs = 5_000;

/**
 * Reads a given certificate, and reads it again whenever its files change: whoever renews it need not stop the outpost. Of files that do not
 * belong together (yet) the certificate before stays.
 * @throws CardeaError `setting_invalid`
 */
export async function givenCertificate(
  kind: string,
  files: { readonly cert: string; readonly key: string },
  log: Logger,
): Promise<Certificate> {
  let context = await readContext(kind, files);
  let reading: Promise<void> = Promise.resolve();
  const changed = (): void => {
    reading = reading
      .then(async () => {
        context = await readContext(kind, files);
        log.info({ gateway: kind }, "the certificate was read again");
      })
      .catch((error: unknown) => log.warn({ err: error, gateway: kind }, "a changed certificate cannot be used"));
  };
  const paths = [files.cert, files.key];
  for (const path of paths) watchFile(path, { persistent: false, interval: lookEveryMs }, changed);
  return {
    secureContext: () => context,
    known: "public",
    close: () => {
      for (const path of paths) unwatchFile(path, changed);
    },
  };
}

async function readContext(
  kind: string,
  files: { readonly cert: string; readonly key: string },
): Promise<SecureContext> {
  const [cert, key] = await Promise.all([readPem(kind, files.cert), readPem(kind, files.key)]);
  try {
    return createSecureContext({ cert, key, minVersion: "TLSv1.2" });
  } catch (cause) {
    throw new CardeaError(
      "setting_invalid",
      `\`gateway.${kind}.tls\`: \`${files.cert}\` and \`${files.key}\` are no certificate and its key`,
      { cause },
    );
  }
}

async function readPem(kind: string, path: string): Promise<string> {
  return readFile(path, "utf8").catch((cause: unknown) => {
    throw new CardeaError("setting_invalid", `\`gateway.${kind}.tls\`: \`${path}\` cannot be read`, { cause });
  });
}

const AuthorityFile = z.strictObject({
  v: z.literal(1),
  key: z.string().max(1_000),
  certificate: z.string().max(8_000),
});

const authorityFile = "gateway-authority.json";
const authorityName = "Cardea outpost";
const dayMs = 86_400_000;
/** Keys that were delivered hold the authority, so it outlives them all. */
const authorityMs = 10 * 365 * dayMs;
const certificateMs = 30 * dayMs;
const renewMs = 15 * dayMs;
/** Clients' clocks may be behind. */
const earlierMs = dayMs;

/** The outpost's own authority: one for all its gateways, kept in its data directory (0600). */
export class OwnAuthority {
  readonly #key: KeyObject;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly certificate: string;

  private constructor(file: z.infer<typeof AuthorityFile>, clock: Clock, random: Random) {
    this.#key = createPrivateKey(file.key);
    this.#clock = clock;
    this.#random = random;
    this.certificate = file.certificate;
  }

  /** Opens it; makes it at the first start. @throws CardeaError `data_directory_invalid` */
  static async open(dataDir: string, clock: Clock, random: Random): Promise<OwnAuthority> {
    const path = join(dataDir, authorityFile);
    let file = await readWhole(path, AuthorityFile);
    if (file === undefined) {
      file = newAuthority(clock, random);
      await writeWhole(path, JSON.stringify(file));
    }
    return new OwnAuthority(file, clock, random);
  }

  /** A certificate for these names, renewed by itself. */
  certify(names: readonly string[]): Certificate {
    let current: { readonly context: SecureContext; readonly untilMs: number } | undefined;
    return {
      known: { ca: this.certificate },
      close: () => undefined,
      secureContext: () => {
        const nowMs = this.#clock.now();
        if (current === undefined || nowMs >= current.untilMs)
          current = { context: this.#issue(names, nowMs), untilMs: nowMs + renewMs };
        return current.context;
      },
    };
  }

  #issue(names: readonly string[], nowMs: number): SecureContext {
    const key = newP256Key(this.#random);
    const cert = newCertificate({
      subject: "Cardea gateway",
      publicKey: createPublicKey(key),
      issuer: { name: authorityName, key: this.#key },
      serial: this.#random.bytes(16),
      notBeforeMs: nowMs - earlierMs,
      notAfterMs: nowMs + certificateMs,
      names,
    });
    return createSecureContext({ cert, key: pem(key), minVersion: "TLSv1.2" });
  }
}

function newAuthority(clock: Clock, random: Random): z.infer<typeof AuthorityFile> {
  const key = newP256Key(random);
  const nowMs = clock.now();
  const certificate = newCertificate({
    subject: authorityName,
    publicKey: createPublicKey(key),
    issuer: { name: authorityName, key },
    serial: random.bytes(16),
    notBeforeMs: nowMs - earlierMs,
    notAfterMs: nowMs + authorityMs,
    names: "authority",
  });
  return { v: 1, key: pem(key), certificate };
}

function pem(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}
