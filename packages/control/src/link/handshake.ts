/**
 * The first frames of a link, seen from the control plane: it says its key and a nonce, the outpost proves an enrolled key (or enrols) over
 * both nonces, and the control plane proves its own. Until `welcome` is sent nothing else is read or said.
 */
import type { WebSocket } from "ws";
import { proveStatement, welcomeStatement, type Enrolment, type LinkNonces } from "@cardea/core/wire/enrolment";
import { CardeaError, type ErrorCode } from "@cardea/core/contract/errors";
import type { SealedKey } from "@cardea/core/wire/delivery";
import { LinkHello } from "@cardea/core/wire/link";
import { digestOf } from "@cardea/core/documents/digest";
import { signDigest, verifyDigest } from "@cardea/core/documents/signature";
import { fromBase64Url, toBase64Url } from "@cardea/core/lib/base64url";
import { ok, refused, type Result } from "@cardea/core/lib/result";
import type { Control } from "../control.ts";
import { currentRoster } from "../people/roster.ts";
import { maybeOneOutpost } from "../store/outposts.ts";
import { enrol, type Enrolled } from "./enrol.ts";
import type { Frames } from "./frames.ts";

const handshakeMs = 10_000;
const nonceBytes = 32;
const maxHelloBytes = 16 * 1024;

/** The outpost at the other end, once both have proven their keys. The socket is closed where they have not. */
export async function shakeHands(
  control: Control,
  socket: WebSocket,
  frames: Frames,
  signal: AbortSignal,
): Promise<Enrolment | undefined> {
  const within = AbortSignal.any([signal, AbortSignal.timeout(handshakeMs)]);
  try {
    const controlKey = toBase64Url(control.keys.signing.publicKey);
    const controlNonce = toBase64Url(control.random.bytes(nonceBytes));
    say(socket, { kind: "hello", nonce: controlNonce, controlKey });
    const hello = parseHello(await frames.next(within));
    const admitted = await admit(control, { controlKey, controlNonce }, hello);
    if (!admitted.ok) {
      refuse(socket, admitted.code, admitted.detail);
      return undefined;
    }
    const { enrolment, nonces, markSeed } = admitted.value;
    say(socket, welcome(control, nonces, enrolment, markSeed));
    return enrolment;
  } catch (error) {
    const fault = error instanceof CardeaError ? error : undefined;
    if (fault === undefined) control.log.warn({ err: error }, "a link's handshake failed");
    refuse(socket, fault?.code ?? "internal", fault?.message ?? "the handshake failed");
    return undefined;
  }
}

interface Admitted {
  readonly enrolment: Enrolment;
  readonly nonces: LinkNonces;
  readonly markSeed: SealedKey | undefined;
}

async function admit(
  control: Control,
  ours: Pick<LinkNonces, "controlKey" | "controlNonce">,
  hello: LinkHello,
): Promise<Result<Admitted, ErrorCode>> {
  if (hello.kind !== "prove" && hello.kind !== "enrol")
    return refused(
      "link_message_invalid",
      `the first message of an outpost is \`prove\` or \`enrol\`, not \`${hello.kind}\``,
    );
  const nonces: LinkNonces = { ...ours, outpostNonce: hello.nonce };
  if (hello.kind === "enrol") {
    const enrolled: Result<Enrolled, ErrorCode> = await enrol(control, nonces, hello);
    return enrolled.ok ? ok({ ...enrolled.value, nonces }) : enrolled;
  }
  const outpost = await maybeOneOutpost(control.db, control.keys, { id: hello.outpost });
  const key = outpost === undefined ? undefined : fromBase64Url(outpost.enrolment.identityKey);
  const roster = await currentRoster(control);
  if (
    outpost === undefined ||
    key === undefined ||
    // The row of one that was replaced can be put back; the signed roster cannot.
    roster.outpost(outpost.enrolment.name) !== outpost.enrolment.id ||
    !verifyDigest(hello.signature, "outpost", key, proveStatement(nonces, hello.outpost))
  ) {
    return refused(
      "outpost_unknown",
      "this outpost is not enrolled here, was replaced, or did not prove its key; enrol it with a new token",
    );
  }
  return ok({ enrolment: outpost.enrolment, nonces, markSeed: undefined });
}

function welcome(
  { keys, trust }: Control,
  nonces: LinkNonces,
  enrolment: Enrolment,
  markSeed: SealedKey | undefined,
): LinkHello {
  const trustDigest = digestOf("trust", trust);
  const sign = (digest: typeof trustDigest) => signDigest("control", keys.signing.id, keys.signing.seed, digest);
  return {
    kind: "welcome",
    outpost: enrolment.id,
    trust,
    ...(markSeed !== undefined && { markSeed }),
    trustSignature: sign(trustDigest),
    signature: sign(welcomeStatement(nonces, enrolment.id, trustDigest, markSeed)),
  };
}

function parseHello(text: string): LinkHello {
  if (text.length > maxHelloBytes) throw new CardeaError("too_large", "the first message is too large");
  try {
    return LinkHello.parse(JSON.parse(text));
  } catch (error) {
    throw new CardeaError(
      "link_message_invalid",
      "the first message does not have the required form; is the outpost of another version?",
      { cause: error },
    );
  }
}

function say(socket: WebSocket, message: LinkHello): void {
  socket.send(JSON.stringify(message));
}

/** 1008: policy violation (RFC 6455, section 7.4.1). */
function refuse(socket: WebSocket, code: string, detail: string): void {
  if (socket.readyState === socket.OPEN) {
    say(socket, { kind: "refused", code, detail });
    socket.close(1008);
  } else socket.terminate();
}
