/**
 * The doors of the outpost: one TCP listener for each kind of resource that has a gateway here. Accepts, and hands over at once; how many may
 * stand at a door is the gateway's to limit, who comes in is `admission.ts`'s to say.
 */
import { createServer, type Server } from "node:net";
import type { Logger } from "pino";
import type { GatewayAddress } from "@cardea/connectors/connector";
import type { Gateway, GatewayHost } from "@cardea/connectors/gateway";
import { CardeaError } from "@cardea/core/contract/errors";
import type { Clock } from "@cardea/core/lib/clock";
import type { Random } from "@cardea/core/lib/random";
import type { Connectors } from "../resources/config.ts";
import { givenCertificate, OwnAuthority, type Certificate } from "./certificates.ts";
import type { GatewaySettings } from "./settings.ts";

export interface ListenersOptions {
  readonly settings: readonly GatewaySettings[];
  readonly connectors: Connectors;
  readonly dataDir: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

interface Door {
  readonly gateway: Gateway;
  readonly server: Server;
  readonly certificate: Certificate;
  readonly address: GatewayAddress;
}

/** Names by which a gateway is reached from its own machine. */
const loopback = ["localhost", "127.0.0.1", "::1"];

export class Listeners {
  readonly #options: ListenersOptions;
  readonly #doors = new Map<string, Door>();

  constructor(options: ListenersOptions) {
    this.#options = options;
  }

  /** @throws CardeaError `port_taken`, `setting_invalid`, `data_directory_invalid` */
  async open(host: GatewayHost<unknown>): Promise<void> {
    for (const settings of this.#options.settings) this.#doors.set(settings.kind, await this.#open(settings, host));
  }

  /** Where a kind's gateway is reached; `undefined` where there is none. */
  addressOf(kind: string): GatewayAddress | undefined {
    return this.#doors.get(kind)?.address;
  }

  /** Lets nobody in any more, ends every session with these words, and waits until all are gone. */
  async close(words: string): Promise<void> {
    await Promise.all(
      [...this.#doors.values()].map(async ({ server, gateway, certificate }) => {
        server.close();
        certificate.close();
        await gateway.close(words);
      }),
    );
    this.#doors.clear();
  }

  async #open(settings: GatewaySettings, host: GatewayHost<unknown>): Promise<Door> {
    const { connectors, dataDir, clock, random, log } = this.#options;
    const { kind, listen, publicHost, publicPort, tls, trustedProxies } = settings;
    const certificate =
      tls === undefined
        ? (await OwnAuthority.open(dataDir, clock, random)).certify([...new Set([publicHost, ...loopback])])
        : await givenCertificate(kind, tls, log);
    const own = log.child({ gateway: kind });
    const gateway = await connectors[kind]?.gateway?.(
      host,
      { tls: certificate, requireTls: true, proxies: trustedProxies },
      {
        clock,
        random,
        log: {
          debug: (fields, message) => own.debug(fields, message),
          warn: (fields, message) => own.warn(fields, message),
        },
      },
    );
    if (gateway === undefined)
      throw new CardeaError("setting_invalid", `\`gateway.${kind}\`: there is no gateway for this kind`);
    const { server, port } = await startListening(kind, listen, gateway).catch((error: unknown) => {
      certificate.close();
      throw error;
    });
    own.info({ host: listen.host, port }, "a gateway is open");
    return {
      gateway,
      server,
      certificate,
      address: { host: publicHost, port: publicPort ?? port, tls: certificate.known },
    };
  }
}

async function startListening(
  kind: string,
  { host, port }: GatewaySettings["listen"],
  gateway: Gateway,
): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer({ pauseOnConnect: false, allowHalfOpen: false }, (socket) => gateway.accept(socket));
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const code = cause.code === "EADDRINUSE" ? "port_taken" : "setting_invalid";
      const why = cause.code === "EADDRINUSE" ? "is taken by another process" : "cannot be listened at";
      reject(new CardeaError(code, `\`gateway.${kind}.listen\`: \`${host}:${String(port)}\` ${why}`, { cause }));
    });
    server.listen(port, host, resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new TypeError("a TCP listener has a port");
  return { server, port: address.port };
}
