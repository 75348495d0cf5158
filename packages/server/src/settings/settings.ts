/**
 * The control plane's own settings: `cardea.yaml`, over it `CARDEA_*` variables. Parsed once here; everything else gets values.
 * An unknown setting is an error, because a misspelt one must not be silently none.
 */
import { readFile } from "node:fs/promises";
import { isIPv4 } from "node:net";
import { join, resolve } from "node:path";
import { createSecureContext } from "node:tls";
import { CardeaError } from "@cardea/core/contract/errors";
import { Cidr } from "@cardea/core/documents/primitives";
import { parse } from "yaml";
import { z } from "zod";

const Listen = z.strictObject({
  host: z.string().min(1).max(253).default("127.0.0.1"),
  port: z.coerce.number().int().min(0).max(65_535).default(7400),
});

const Proxies = z.array(Cidr).max(100);

/** A hundred years at most. */
const KeepDays = z.coerce.number().int().min(1).max(36_500);

const FileSettings = z.strictObject({
  publicUrl: z.url().optional(),
  listen: Listen.optional(),
  trustedProxies: Proxies.optional(),
  /** PEM files. */
  tls: z.strictObject({ cert: z.string().min(1), key: z.string().min(1) }).optional(),
  database: z.string().min(1).optional(),
  mail: z
    .strictObject({
      url: z.string().regex(/^smtps?:\/\//, "not an smtp:// or smtps:// URL"),
      from: z.string().min(3).max(320),
    })
    .optional(),
  recordings: z.strictObject({ directory: z.string().min(1).optional(), keepDays: KeepDays.optional() }).optional(),
  log: z
    .strictObject({
      origin: z
        .string()
        .regex(/^[a-z0-9.-]+(?:\/[a-z0-9._-]+)*$/)
        .max(200),
    })
    .optional(),
});

export interface Settings {
  readonly dataDirectory: string;
  readonly listen: { readonly host: string; readonly port: number };
  /** How people and outposts reach it. Its host is the WebAuthn rpId, so it is chosen once. */
  readonly publicUrl: string | undefined;
  /** PEM, read from the files named; without it the server speaks plain HTTP. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  /** Proxies whose word on a caller's address is believed; without any, the address is the socket's. */
  readonly trustedProxies: readonly string[];
  /** Absent: the embedded PostgreSQL. */
  readonly databaseUrl: string | undefined;
  readonly mail: { readonly url: string; readonly from: string } | undefined;
  /** Where recordings of sessions are kept, and for how long. */
  readonly recordings: { readonly directory: string; readonly keepDays: number };
  readonly origin: string | undefined;
  /** Development: where the outpost's PostgreSQL gateway listens, and the sample database. */
  readonly gatewayPort: number;
  readonly samplePort: number;
  readonly logLevel: string;
}

/** Reads `cardea.yaml` (or the file that `CARDEA_CONFIG` names) and the environment. @throws CardeaError `setting_invalid` naming the setting. */
export async function readSettings(environment: NodeJS.ProcessEnv, workingDirectory: string): Promise<Settings> {
  const named = environment["CARDEA_CONFIG"];
  const file = await readFileSettings(resolve(workingDirectory, named ?? "cardea.yaml"), named !== undefined);
  const url = environment["CARDEA_PUBLIC_URL"] ?? file.publicUrl;
  if (url !== undefined && !URL.canParse(url))
    throw new CardeaError("setting_invalid", `CARDEA_PUBLIC_URL: \`${url}\` is not a URL`);
  const mailUrl = environment["CARDEA_MAIL_URL"] ?? file.mail?.url;
  const dataDirectory = resolve(workingDirectory, environment["CARDEA_DATA"] ?? ".cardea");
  const settings: Settings = {
    dataDirectory,
    listen: {
      host: environment["CARDEA_LISTEN_HOST"] ?? file.listen?.host ?? "127.0.0.1",
      port: port(environment, "CARDEA_LISTEN_PORT", file.listen?.port ?? 7400),
    },
    publicUrl: url?.replace(/\/+$/, ""),
    tls: await readTls(
      workingDirectory,
      environment["CARDEA_TLS_CERT"] ?? file.tls?.cert,
      environment["CARDEA_TLS_KEY"] ?? file.tls?.key,
    ),
    trustedProxies:
      environment["CARDEA_TRUSTED_PROXIES"] === undefined
        ? (file.trustedProxies ?? [])
        : networks("CARDEA_TRUSTED_PROXIES", environment["CARDEA_TRUSTED_PROXIES"]),
    databaseUrl: environment["CARDEA_DATABASE"] ?? environment["DATABASE_URL"] ?? file.database,
    mail:
      mailUrl === undefined
        ? undefined
        : { url: mailUrl, from: environment["CARDEA_MAIL_FROM"] ?? file.mail?.from ?? "cardea@localhost" },
    recordings: {
      directory: resolve(
        workingDirectory,
        environment["CARDEA_RECORDINGS"] ?? file.recordings?.directory ?? join(dataDirectory, "recordings"),
      ),
      keepDays: keepDays(environment["CARDEA_RECORDINGS_KEEP_DAYS"]) ?? file.recordings?.keepDays ?? 365,
    },
    origin: environment["CARDEA_LOG_ORIGIN"] ?? file.log?.origin,
    gatewayPort: port(environment, "CARDEA_GATEWAY_PORT", 7432),
    samplePort: port(environment, "CARDEA_SAMPLE_PORT", 7433),
    logLevel: environment["CARDEA_LOG_LEVEL"] ?? "info",
  };
  refusePlainText(settings);
  return settings;
}

/** Sign-ins and sealed keys must not cross a network in the clear, unless something in front is said to speak TLS. */
function refusePlainText({ listen, tls, trustedProxies, publicUrl }: Settings): void {
  if (tls !== undefined || trustedProxies.length > 0 || isLoopback(listen.host)) return;
  if (publicUrl !== undefined && new URL(publicUrl).protocol === "https:") return;
  throw new CardeaError(
    "setting_invalid",
    `CARDEA_LISTEN_HOST: \`${listen.host}\` is reached from outside, and would be plain HTTP; set CARDEA_TLS_CERT and CARDEA_TLS_KEY, or, behind a proxy that speaks TLS, CARDEA_PUBLIC_URL (https) or CARDEA_TRUSTED_PROXIES`,
  );
}

function isLoopback(host: string): boolean {
  const address = host.replace(/^\[|\]$/g, "");
  return address === "localhost" || address === "::1" || (isIPv4(address) && address.startsWith("127."));
}

async function readTls(
  workingDirectory: string,
  cert: string | undefined,
  key: string | undefined,
): Promise<Settings["tls"]> {
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined || key === undefined)
    throw new CardeaError("setting_invalid", "CARDEA_TLS_CERT and CARDEA_TLS_KEY are set together or not at all");
  const tls = {
    cert: await readPem("CARDEA_TLS_CERT", resolve(workingDirectory, cert)),
    key: await readPem("CARDEA_TLS_KEY", resolve(workingDirectory, key)),
  };
  try {
    createSecureContext(tls);
  } catch (cause) {
    throw new CardeaError(
      "setting_invalid",
      `CARDEA_TLS_CERT, CARDEA_TLS_KEY: \`${cert}\` and \`${key}\` are no certificate and its key`,
      { cause },
    );
  }
  return tls;
}

async function readPem(name: string, path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new CardeaError("setting_invalid", `${name}: \`${path}\` cannot be read`, { cause });
  }
}

async function readFileSettings(path: string, required: boolean): Promise<z.infer<typeof FileSettings>> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if (!required && cause instanceof Error && "code" in cause && cause.code === "ENOENT") return {};
    throw new CardeaError("setting_invalid", `the settings file \`${path}\` cannot be read`, { cause });
  }
  let document: unknown;
  try {
    document = parse(text, { maxAliasCount: 10, uniqueKeys: true });
  } catch (cause) {
    throw new CardeaError(
      "setting_invalid",
      `\`${path}\` is not YAML: ${cause instanceof Error ? cause.message : "unreadable"}`,
      { cause },
    );
  }
  const parsed = FileSettings.safeParse(document ?? {});
  if (parsed.success) return parsed.data;
  const words = parsed.error.issues
    .map((issue) => `\`${issue.path.length === 0 ? "(top)" : issue.path.join(".")}\`: ${issue.message}`)
    .join("; ");
  throw new CardeaError("setting_invalid", `\`${path}\`: ${words}`);
}

function networks(name: string, text: string): string[] {
  const parsed = Proxies.safeParse(
    text
      .split(",")
      .map((part) => part.trim())
      .filter((part) => part !== ""),
  );
  if (!parsed.success)
    throw new CardeaError("setting_invalid", `${name}: \`${text}\` is no list of addresses or networks`);
  return parsed.data;
}

function keepDays(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const parsed = KeepDays.safeParse(text);
  if (!parsed.success)
    throw new CardeaError("setting_invalid", `CARDEA_RECORDINGS_KEEP_DAYS: \`${text}\` is no number of days`);
  return parsed.data;
}

function port(environment: NodeJS.ProcessEnv, name: string, fallback: number): number {
  const text = environment[name];
  if (text === undefined) return fallback;
  if (!/^[0-9]{1,5}$/.test(text) || Number(text) > 65_535)
    throw new CardeaError("setting_invalid", `${name}: \`${text}\` is not a port`);
  return Number(text);
}
