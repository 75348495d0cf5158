/**
 * Our connection to the resource, as a client, signed in with the session's own login. SCRAM only: the secret is never sent, and the
 * server has to prove that it knows it too, unless it asks for nothing at all.
 */
import { connect, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import type { Duplex } from "node:stream";
import type { Random } from "@cardea/core/lib/random";
import { ByteReader, ConnectionLost } from "./byte-reader.ts";
import { certificateHash } from "./certificate-hash.ts";
import { errorFields, fromClient, fromServer, message, textEnd, type Words } from "./messages.ts";
import { ScramClient } from "./scram-client.ts";
import type { PostgresUpstream } from "./settings.ts";
import { authentication } from "./sign-in.ts";
import { protocol } from "./startup-message.ts";

/** No message of a server that is signing us in is longer. */
const longestMessage = 65_536;

export interface Upstream {
  readonly stream: Duplex;
  /** ParameterStatus messages, as they came, by the parameter's name. */
  readonly parameters: ReadonlyMap<string, Buffer>;
  /** NoticeResponse messages, as they came. */
  readonly notices: readonly Buffer[];
  /** What came after the first ReadyForQuery. */
  readonly rest: Buffer;
  /** Asks the server to give up what it is doing, on a connection of its own. Resolves when the server has taken note, or cannot. */
  cancel(): Promise<void>;
}

/** The resource could not be reached, or did not let us in. The words are the client's to read. */
export class UpstreamRefusal extends Error {
  override readonly name = "UpstreamRefusal";
  readonly words: Words;

  constructor(words: Words, cause?: unknown) {
    super(words.message, { cause });
    this.words = words;
  }
}

/** @throws UpstreamRefusal */
export async function connectUpstream(
  login: PostgresUpstream,
  settings: ReadonlyMap<string, string>,
  random: Random,
  signal: AbortSignal,
): Promise<Upstream> {
  let stream: Duplex | undefined;
  const abort = (): void => void stream?.destroy();
  try {
    signal.throwIfAborted();
    const opened = await open(login, signal);
    stream = opened.stream;
    signal.addEventListener("abort", abort, { once: true });
    return await start(opened, login, settings, random);
  } catch (error) {
    stream?.destroy();
    throw error instanceof UpstreamRefusal ? error : unreachable(error);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function unreachable(cause: unknown): UpstreamRefusal {
  return new UpstreamRefusal(
    { code: "08001", message: "the resource cannot be reached now", hint: "try again; the key stays valid" },
    cause,
  );
}

interface Opened {
  readonly stream: Duplex;
  readonly binding: Uint8Array | undefined;
}

async function open(login: PostgresUpstream, signal: AbortSignal): Promise<Opened> {
  const socket = login.host.startsWith("/")
    ? connect({ path: `${login.host}/.s.PGSQL.${login.port}` })
    : connect({ host: login.host, port: login.port, keepAlive: true, keepAliveInitialDelay: 30_000 });
  const abort = (): void => void socket.destroy();
  socket.on("error", abort);
  signal.addEventListener("abort", abort, { once: true });
  try {
    await once(socket, "connect");
    socket.setNoDelay(true);
    return login.tls === false ? { stream: socket, binding: undefined } : await protect(socket, login.tls);
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

async function protect(socket: Socket, options: ConnectionOptions): Promise<Opened> {
  socket.write(message(undefined, protocol.sslRequest));
  const reader = new ByteReader(socket);
  const [answer] = await reader.take(1);
  if (answer !== 0x53 || reader.pending)
    throw new UpstreamRefusal({
      code: "08001",
      message: "the resource does not offer TLS, which its configuration demands",
    });
  reader.release();
  const secured = connectTls({ ...options, socket, ALPNProtocols: ["postgresql"] });
  await once(secured, "secureConnect");
  const certificate = secured.getPeerCertificate();
  return {
    stream: secured,
    binding: certificate.raw instanceof Uint8Array ? certificateHash(certificate.raw) : undefined,
  };
}

function once(stream: Duplex, event: string): Promise<void> {
  return new Promise((done, failed) => {
    const lost = (): void => failed(new ConnectionLost("the connection ended"));
    stream.once(event, () => {
      stream.off("error", failed).off("close", lost);
      done();
    });
    // An error without a listener would end the process; the relay adds its own.
    stream.once("error", failed).once("close", lost);
  });
}

async function start(
  { stream, binding }: Opened,
  login: PostgresUpstream,
  settings: ReadonlyMap<string, string>,
  random: Random,
): Promise<Upstream> {
  const ignore = (): void => undefined;
  stream.on("error", ignore);
  const options = Object.entries({ ...Object.fromEntries(settings), ...login.settings }).flat();
  const version = protocol.v3_2;
  stream.write(
    message(undefined, version, "user", login.user, "database", login.database, ...options, Uint8Array.of(0)),
  );
  const reader = new ByteReader(stream);
  const parameters = new Map<string, Buffer>();
  const notices: Buffer[] = [];
  let key: Buffer | undefined;
  for (;;) {
    const whole = await readMessage(reader);
    const body = whole.subarray(5);
    switch (whole[0]) {
      case fromServer.authentication:
        await authenticate(stream, reader, body, login.secret, binding, random);
        break;
      case fromServer.parameterStatus:
        parameters.set(body.toString("utf8", 0, Math.max(0, textEnd(body, 0, body.length))), whole);
        break;
      case fromServer.backendKeyData:
        key = body;
        break;
      case fromServer.noticeResponse:
        notices.push(whole);
        break;
      case fromServer.negotiateProtocolVersion:
        break; // whatever the server's lower version is, it is older than ours and above or equal to 3.0
      case fromServer.errorResponse:
        throw refused(body);
      case fromServer.readyForQuery: {
        const rest = reader.release();
        stream.off("error", ignore);
        return { stream, parameters, notices, rest, cancel: () => cancel(login, key) };
      }
      default:
        throw new UpstreamRefusal({ code: "08P01", message: "the resource does not speak the protocol" });
    }
  }
}

async function readMessage(reader: ByteReader): Promise<Buffer> {
  const length = (await reader.peek(5)).readInt32BE(1);
  if (length < 4 || length > longestMessage)
    throw new UpstreamRefusal({ code: "08P01", message: "the resource does not speak the protocol" });
  return reader.take(length + 1);
}

async function authenticate(
  stream: Duplex,
  reader: ByteReader,
  request: Buffer,
  secret: string,
  binding: Uint8Array | undefined,
  random: Random,
): Promise<void> {
  const kind = request.length >= 4 ? request.readInt32BE(0) : -1;
  if (kind === authentication.ok) return;
  const mechanisms = kind === authentication.sasl ? request.toString("latin1", 4).split("\0") : [];
  const nonce = Buffer.from(random.bytes(18)).toString("base64");
  const scram = ScramClient.choose(mechanisms, secret, binding, nonce);
  if (scram === undefined)
    throw new UpstreamRefusal({
      code: "08004",
      message: "the resource does not offer SCRAM-SHA-256 for the session's login",
    });
  const first = Buffer.from(scram.first);
  stream.write(message(fromClient.password, scram.mechanism, first.length, first));
  const response = await scram.respond(await readSasl(reader, authentication.saslContinue));
  if (response === undefined)
    throw new UpstreamRefusal({ code: "08P01", message: "the resource's SCRAM challenge is malformed" });
  stream.write(message(fromClient.password, Buffer.from(response)));
  if (!scram.accepts(await readSasl(reader, authentication.saslFinal)))
    throw new UpstreamRefusal({ code: "08004", message: "the resource did not prove that it is the one" });
}

async function readSasl(reader: ByteReader, kind: number): Promise<string> {
  const whole = await readMessage(reader);
  const body = whole.subarray(5);
  if (whole[0] === fromServer.errorResponse) throw refused(body);
  if (whole[0] !== fromServer.authentication || body.length < 4 || body.readInt32BE(0) !== kind)
    throw new UpstreamRefusal({ code: "08P01", message: "the resource does not speak the protocol" });
  return body.toString("utf8", 4);
}

/** What the client may know of the server's refusal: its own words, but not those about our login. */
function refused(body: Buffer): UpstreamRefusal {
  const fields = errorFields(body);
  const code = fields.get("C") ?? "08004";
  return code.startsWith("28")
    ? new UpstreamRefusal({
        code: "08004",
        message: "the resource refuses the session's login",
        hint: "tell an administrator",
      })
    : new UpstreamRefusal({ code, message: fields.get("M") ?? "the resource refuses the connection" });
}

/** How long a cancellation may take before nobody waits for it any more. */
const cancelMs = 2_000;

async function cancel(login: PostgresUpstream, key: Buffer | undefined): Promise<void> {
  if (key === undefined) return;
  const signal = AbortSignal.timeout(cancelMs);
  let stream: Duplex | undefined;
  const abort = (): void => void stream?.destroy();
  signal.addEventListener("abort", abort, { once: true });
  try {
    ({ stream } = await open(login, signal));
    stream.on("error", abort);
    stream.resume();
    stream.end(message(undefined, protocol.cancelRequest, key));
    // The server closes after it has signalled the backend.
    const opened = stream;
    await new Promise<void>((done) => opened.once("close", () => done()));
  } catch {
    // The connection is being closed or the resource is gone: there is nothing to cancel, or nobody to ask.
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
