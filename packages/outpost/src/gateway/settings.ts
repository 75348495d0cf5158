/** Where gateways listen and how they are reached: `gateway` in `outpost.yaml`, over it `CARDEA_GATEWAY_<KIND>_*` variables; by kind of resource. */
import { dirname, isAbsolute, join } from "node:path";
import { z } from "zod";
import { CardeaError } from "@cardea/core/contract/errors";
import { Cidr } from "@cardea/core/documents/primitives";

const Port = z.coerce.number().int().min(1).max(65_535);

const Listen = z
  .string()
  .max(300)
  .regex(/^(?:\[[0-9a-fA-F:.]+\]|[^:\s[\]]+):[0-9]{1,5}$/, "not `host:port`");

const File = z.strictObject({
  /** `host:port`; an IPv6 address in brackets. Port 0: any that is free. */
  listen: Listen,
  /** How clients reach it. Default: the host that it listens at. */
  publicHost: z.string().min(1).max(253).optional(),
  publicPort: Port.optional(),
  /** PEM files, of an authority that clients know. Default: an authority of the outpost's own, made at the first start. */
  tls: z.strictObject({ cert: z.string().min(1), key: z.string().min(1) }).optional(),
  /** Networks of proxies that send a PROXY header. */
  trustedProxies: z.array(Cidr).max(100).optional(),
});

/** The `gateway` section of `outpost.yaml`. */
export const GatewaySection = z.record(z.string().max(63), File);
export type GatewaySection = z.infer<typeof GatewaySection>;

export interface GatewaySettings {
  readonly kind: string;
  readonly listen: { readonly host: string; readonly port: number };
  readonly publicHost: string;
  readonly publicPort: number | undefined;
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  readonly trustedProxies: readonly string[];
}

/** What names that stand for every address of a machine listen at; nobody is reached by them. */
const everywhere: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

/**
 * Settings of each kind that has a gateway; a kind that nobody configured has none.
 * @throws CardeaError `setting_invalid`, naming the setting
 */
export function readGatewaySettings(
  kinds: readonly string[],
  section: GatewaySection,
  environment: Readonly<Record<string, string | undefined>>,
  configFile: string | undefined,
): GatewaySettings[] {
  for (const kind of Object.keys(section))
    if (!kinds.includes(kind))
      throw new CardeaError(
        "setting_invalid",
        `\`gateway.${kind}\`: there is no gateway for this kind; there is ${kinds.map((one) => `\`${one}\``).join(", ")}`,
      );
  return kinds.flatMap((kind) => {
    const fromFile = Object.hasOwn(section, kind) ? section[kind] : undefined;
    const merged = { ...withPaths(fromFile, configFile), ...fromEnvironment(kind, environment) };
    if (Object.keys(merged).length === 0) return [];
    const parsed = File.safeParse(merged);
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      throw new CardeaError(
        "setting_invalid",
        `\`gateway.${[kind, ...(issue?.path ?? []).map(String)].join(".")}\`: ${issue?.message ?? "invalid"}`,
      );
    }
    return [settingsOf(kind, parsed.data)];
  });
}

function withPaths(section: GatewaySection[string] | undefined, configFile: string | undefined): object {
  if (section?.tls === undefined) return section ?? {};
  const beside = (path: string): string =>
    isAbsolute(path) || configFile === undefined ? path : join(dirname(configFile), path);
  return { ...section, tls: { cert: beside(section.tls.cert), key: beside(section.tls.key) } };
}

function fromEnvironment(kind: string, environment: Readonly<Record<string, string | undefined>>): object {
  const prefix = `CARDEA_GATEWAY_${kind.toUpperCase().replaceAll(/[^A-Z0-9]/g, "_")}_`;
  const of = (name: string): string | undefined => environment[prefix + name];
  const [listen, publicHost, publicPort] = [of("LISTEN"), of("PUBLIC_HOST"), of("PUBLIC_PORT")];
  const [cert, key, proxies] = [of("TLS_CERT"), of("TLS_KEY"), of("PROXIES")];
  return {
    ...(listen !== undefined && { listen }),
    ...(publicHost !== undefined && { publicHost }),
    ...(publicPort !== undefined && { publicPort }),
    ...((cert !== undefined || key !== undefined) && { tls: { cert, key } }),
    ...(proxies !== undefined && {
      trustedProxies: proxies
        .split(",")
        .map((one) => one.trim())
        .filter((one) => one !== ""),
    }),
  };
}

function settingsOf(kind: string, file: z.infer<typeof File>): GatewaySettings {
  const colon = file.listen.lastIndexOf(":");
  const host = file.listen.slice(0, colon).replace(/^\[|\]$/g, "");
  const port = Number(file.listen.slice(colon + 1));
  if (port > 65_535)
    throw new CardeaError("setting_invalid", `\`gateway.${kind}.listen\`: \`${file.listen}\` has no such port`);
  const publicHost = file.publicHost ?? host;
  if (everywhere.has(publicHost))
    throw new CardeaError(
      "setting_invalid",
      `\`gateway.${kind}.publicHost\`: say how clients reach it, as \`${host}\` is every address of this machine`,
    );
  return {
    kind,
    listen: { host, port },
    publicHost,
    publicPort: file.publicPort,
    tls: file.tls,
    trustedProxies: file.trustedProxies ?? [],
  };
}
