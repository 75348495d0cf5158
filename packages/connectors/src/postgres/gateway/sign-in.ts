/**
 * Signing in: the SASL exchange on the wire, inside the host's `admit`, which brings the verifier. The words and the work are the same
 * for an unknown key and for a wrong secret.
 */
import type { Random } from "@cardea/core/lib/random";
import type { Admission, GatewayHost, ScramVerifier } from "../../gateway.ts";
import type { Client } from "./arrival.ts";
import type { ByteReader } from "./byte-reader.ts";
import { Farewell } from "./farewell.ts";
import { fromClient, fromServer, message } from "./messages.ts";
import { offered, readFirst, ScramExchange } from "./scram-server.ts";
import type { PostgresUpstream } from "./settings.ts";

/** The kinds of authentication request, and of the answer that it succeeded. */
export const authentication = { ok: 0, cleartext: 3, md5: 5, sasl: 10, saslContinue: 11, saslFinal: 12 } as const;

/** A nonce and a proof with room to spare. */
const longestAnswer = 4_096;

/** @throws ConnectionLost, Farewell, whatever the host rejects with */
export async function signIn(
  client: Client,
  host: GatewayHost<PostgresUpstream>,
  random: Random,
  signal: AbortSignal,
): Promise<Admission<PostgresUpstream>> {
  const { startup, source, tls } = client;
  return host.admit(
    {
      keyId: startup.user,
      database: startup.database,
      source,
      ...(startup.application === undefined ? {} : { application: startup.application }),
      ...(tls === undefined ? {} : { tls: tls.version }),
    },
    { kind: "scram", prove: (verifier) => prove(client, verifier, random) },
    signal,
  );
}

async function prove({ stream, reader, tls }: Client, verifier: ScramVerifier, random: Random): Promise<boolean> {
  const binding = tls?.binding;
  const mechanisms = offered(binding);
  stream.write(message(fromServer.authentication, authentication.sasl, ...mechanisms, Uint8Array.of(0)));
  const initial = await readAnswer(reader);
  // SASLInitialResponse: the mechanism's name, the length of what follows, the client's first message.
  const nameEnd = initial.indexOf(0);
  const mechanism = initial.toString("latin1", 0, Math.max(nameEnd, 0));
  if (nameEnd < 0 || initial.length < nameEnd + 5 || !mechanisms.includes(mechanism)) throw malformed();
  const first = readFirst(initial.toString("utf8", nameEnd + 5), mechanism, binding);
  if (first === undefined) throw malformed();
  const nonce = Buffer.from(random.bytes(18)).toString("base64");
  const exchange = new ScramExchange(first, verifier, binding, nonce);
  stream.write(message(fromServer.authentication, authentication.saslContinue, Buffer.from(exchange.challenge)));
  const final = exchange.finish((await readAnswer(reader)).toString("utf8"));
  if (final === undefined) return false;
  stream.write(message(fromServer.authentication, authentication.saslFinal, Buffer.from(final)));
  return true;
}

async function readAnswer(reader: ByteReader): Promise<Buffer> {
  const head = await reader.take(5);
  const length = head.readInt32BE(1);
  if (head[0] !== fromClient.password || length < 4 || length > longestAnswer) throw malformed();
  return reader.take(length - 4);
}

function malformed(): Farewell {
  return new Farewell({ code: "08P01", message: "malformed message while signing in" });
}
