/** The one time that an outpost enrols: keeps trying while nobody answers, and gives up when it is refused. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { parseEnrolmentToken } from "@cardea/core/wire/enrolment";
import { CardeaError } from "@cardea/core/contract/errors";
import { toBase64Url } from "@cardea/core/lib/base64url";
import type { Random } from "@cardea/core/lib/random";
import { writeMembership, type Keys, type Membership } from "./identity.ts";
import { backoffMs } from "./jitter.ts";
import { dial, linkAddress } from "./link/dial.ts";
import { enrol } from "./link/handshake.ts";
import type { Tuning } from "./settings.ts";

export interface EnrolOptions {
  readonly dataDir: string;
  readonly controlUrl: string | undefined;
  readonly token: string | undefined;
  readonly keys: Keys;
  readonly random: Random;
  readonly tuning: Tuning;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/**
 * Enrols and keeps what that gave. @throws CardeaError `enrolment_invalid` for a token that is no good, `link_refused` where somebody else
 * answers, `setting_invalid` for an address, `cancelled`
 */
export async function enrolOutpost({
  dataDir,
  controlUrl,
  token: text,
  keys,
  random,
  tuning,
  log,
  signal,
}: EnrolOptions): Promise<Membership> {
  if (text === undefined)
    throw new CardeaError(
      "enrolment_invalid",
      "this outpost is not enrolled yet: have an administrator make a token with `cardea outposts invite`, and start with it",
    );
  const token = parseEnrolmentToken(text);
  if (!token.ok) throw new CardeaError(token.code, token.detail);
  const url = controlUrl ?? token.value.url;
  const address = linkAddress(url);
  for (let failures = 0; ; failures++) {
    try {
      const link = await dial(address, signal);
      try {
        const { outpost, trust, markSeed } = await enrol({ link, keys, random, signal }, token.value);
        const membership: Membership = {
          v: 1,
          outpost,
          name: token.value.name,
          url,
          trust,
          markSeed: toBase64Url(markSeed),
        };
        await writeMembership(dataDir, membership);
        log.info({ outpost, name: membership.name, control: address.host }, "enrolled");
        return membership;
      } finally {
        link.socket.terminate();
      }
    } catch (error) {
      if (signal.aborted) throw new CardeaError("cancelled", "enrolling was cancelled", { cause: error });
      if (!(error instanceof CardeaError) || error.code !== "unreachable") throw error;
      if (failures % 20 === 0) log.warn({ code: error.code }, error.message);
      await sleep(backoffMs(tuning.redialMs, failures, random), undefined, { signal }).catch(() => undefined);
    }
  }
}
