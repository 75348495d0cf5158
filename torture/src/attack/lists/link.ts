/** Being an outpost that nobody enrolled. */
import { WebSocket } from "ws";
import {
  enrolStatement,
  parseEnrolmentToken,
  proveStatement,
  tokenProof,
  type LinkNonces,
} from "@cardea/core/wire/enrolment";
import { newId, OutpostId } from "@cardea/core/contract/ids";
import { LinkHello } from "@cardea/core/wire/link";
import { signDigest } from "@cardea/core/documents/signature";
import { fromBase64Url, toBase64Url } from "@cardea/core/lib/base64url";
import { ed25519PublicKey } from "@cardea/core/lib/crypto";
import { newDeliveryKey } from "@cardea/sdk/delivery-key";
import { systemClock, systemRandom } from "@cardea/server/processes/system";
import { sure, type AttackList } from "../attempt.ts";
import type { Ground } from "../ground.ts";

/** Answers the control plane's first words with these; the code of its refusal, or `welcome`. */
function dial(ground: Ground, answer: (nonces: LinkNonces) => unknown): Promise<string> {
  const socket = new WebSocket(`${ground.url.replace("http", "ws")}/v1/link`);
  return new Promise((resolve, reject) => {
    socket.on("message", (data) => {
      // A text frame of `ws` arrives as one buffer.
      const message = LinkHello.parse(JSON.parse(Buffer.isBuffer(data) ? data.toString() : ""));
      if (message.kind === "hello") {
        const nonces = {
          controlKey: message.controlKey,
          controlNonce: message.nonce,
          outpostNonce: toBase64Url(systemRandom.bytes(32)),
        };
        Promise.resolve(answer(nonces)).then(
          (reply) => socket.send(typeof reply === "string" ? reply : JSON.stringify(reply)),
          reject,
        );
        return;
      }
      resolve(message.kind === "refused" ? message.code : message.kind);
      socket.close();
    });
    socket.once("close", () => resolve("closed"));
    socket.once("error", reject);
  });
}

/** Enrols an outpost of our own by a real token; as often as it is called, by the same one. */
async function enrolling(ground: Ground, name: string): Promise<{ seed: Uint8Array; enrol: () => Promise<string> }> {
  const made = await ground.ada.createEnrolmentToken({ name });
  const parsed = parseEnrolmentToken(made.token);
  if (!parsed.ok) throw new Error(parsed.detail);
  const { id: token, expiresAt, secret } = parsed.value;
  const seed = systemRandom.bytes(32);
  const sealKey = (await newDeliveryKey()).publicKey;
  const identityKey = toBase64Url(ed25519PublicKey(seed));
  const enrol = () =>
    dial(ground, (nonces) => {
      const statement = enrolStatement(nonces, { token, name, identityKey, sealKey });
      return {
        kind: "enrol",
        token,
        tokenExpiresAt: expiresAt,
        tokenProof: tokenProof(fromBase64Url(secret), statement),
        name,
        nonce: nonces.outpostNonce,
        identityKey,
        sealKey,
        signature: signDigest("outpost", "mine", seed, statement),
      };
    });
  return { seed, enrol };
}

export const link: AttackList = {
  title: "the outpost's link",
  attacks: [
    {
      tries: "the enrolled outpost's id with another key",
      meets: "outpost_unknown",
      run: async (ground) => {
        const outpost = sure((await ground.ada.outposts()).items[0], "outpost").id;
        const seed = systemRandom.bytes(32);
        return dial(ground, (nonces) => ({
          kind: "prove",
          outpost,
          nonce: nonces.outpostNonce,
          signature: signDigest("outpost", "mine", seed, proveStatement(nonces, outpost)),
        }));
      },
    },
    {
      tries: "an outpost that does not exist",
      meets: "outpost_unknown",
      run: async (ground) => {
        const outpost = newId("outpost", systemClock, systemRandom);
        const seed = systemRandom.bytes(32);
        return dial(ground, (nonces) => ({
          kind: "prove",
          outpost,
          nonce: nonces.outpostNonce,
          signature: signDigest("outpost", "mine", seed, proveStatement(nonces, outpost)),
        }));
      },
    },
    {
      tries: "enrolling with a token of one's own, its row made by SQL",
      meets: "enrolment_invalid",
      run: async (ground) => {
        const token = newId("token", systemClock, systemRandom);
        const expires = new Date(Date.now() + 600_000).toISOString();
        await ground.database.many(
          "insert into enrolment_tokens (id, name, created_by, created_at, expires_at) values ($1, 'rogue', $2, now(), $3)",
          [token, await ground.subject("ada"), expires],
        );
        ground.database.removeLater("enrolment_tokens", { id: token });
        const seed = systemRandom.bytes(32);
        const sealKey = (await newDeliveryKey()).publicKey;
        const identityKey = toBase64Url(ed25519PublicKey(seed));
        return dial(ground, (nonces) => {
          const statement = enrolStatement(nonces, { token, name: "rogue", identityKey, sealKey });
          return {
            kind: "enrol",
            token,
            tokenExpiresAt: expires,
            tokenProof: tokenProof(systemRandom.bytes(32), statement),
            name: "rogue",
            nonce: nonces.outpostNonce,
            identityKey,
            sealKey,
            signature: signDigest("outpost", "mine", seed, statement),
          };
        });
      },
    },
    {
      tries: "a token that was spent, its row set back",
      meets: "welcome, then enrolment_invalid",
      run: async (ground) => {
        const { enrol } = await enrolling(ground, "zz-spent");
        const first = await enrol();
        await ground.database.many("update enrolment_tokens set used_at = null where name = 'zz-spent'");
        return `${first}, then ${await enrol()}`;
      },
    },
    {
      tries: "an outpost that was replaced, its row put back",
      meets: "outpost_unknown",
      run: async (ground) => {
        const { seed, enrol } = await enrolling(ground, "zz-replaced");
        await enrol();
        const { id } = await ground.database.one("select id from outposts where name = 'zz-replaced'");
        await (await enrolling(ground, "zz-replaced")).enrol();
        await ground.database.many("delete from outposts where name = 'zz-replaced' and id <> $1", [id]);
        await ground.database.many("update outposts set retired_at = null where id = $1", [id]);
        const outpost = OutpostId.parse(id);
        return dial(ground, (nonces) => ({
          kind: "prove",
          outpost,
          nonce: nonces.outpostNonce,
          signature: signDigest("outpost", "mine", seed, proveStatement(nonces, outpost)),
        }));
      },
    },
    {
      tries: "words that are none of the link's",
      meets: "link_message_invalid",
      run: (ground) => dial(ground, () => "open, sesame"),
    },
    {
      tries: "receipts before anything is proven",
      meets: "link_message_invalid",
      run: (ground) =>
        dial(ground, () => ({
          kind: "pong",
          at: new Date().toISOString(),
          checkpointSize: 0,
          leases: { live: 0, ending: 0, stuck: 0 },
        })),
    },
  ],
};
