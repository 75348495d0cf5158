/** Listens to all that clients are told: whether it is whole messages, and whether an error or notice says what nobody may know. */
import { errorFields } from "@cardea/connectors/postgres/gateway/messages";
import type { Heard, Talker } from "./talker.ts";

/** Long runs of what secrets are made of. Ids and native names are shorter or have a prefix that says what they are. */
const looksSecret = /[A-Za-z0-9+/_-]{36,}={0,2}|cardea_[0-9A-Za-z]{36}/;
const harmless = /^(?:(?:key|ses|gra|req|out|res)_|cardea_[0-9a-hjkmnp-tv-z]{25}$)/;

export class Watch {
  readonly #secrets: readonly string[];
  /** What was said that must not be. */
  readonly told: string[] = [];
  /** Connections whose answers were not whole messages, and why. */
  readonly torn: string[] = [];

  constructor(secrets: readonly string[]) {
    this.#secrets = secrets.filter((secret) => secret !== "");
  }

  /** Errors and notices. What the resource says, and words of the client's own, may look like anything but our secrets. */
  words(about: string, heard: readonly Heard[], sent: Uint8Array = new Uint8Array()): void {
    for (const { type, body } of heard) {
      if (type !== "E" && type !== "N") continue;
      const fields = errorFields(body);
      const words = ["M", "D", "H"].map((letter) => fields.get(letter) ?? "").join(" ");
      const found = fields.has("R") ? undefined : looksSecret.exec(words)?.[0];
      const echoed = found !== undefined && Buffer.from(sent).includes(found);
      if (this.secretsIn(words) > 0 || (found !== undefined && !echoed && !harmless.test(found)))
        this.told.push(`${about}: ${words}`);
    }
  }

  /** What a connection that is over was told, to its end. */
  whole(about: string, talker: Talker): void {
    if (talker.broken !== undefined) this.torn.push(`${about}: ${talker.broken}`);
    else if (talker.closed && talker.unfinished > 0)
      this.torn.push(`${about}: ${String(talker.unfinished)} bytes that are no whole message`);
  }

  secretsIn(text: string): number {
    return this.#secrets.filter((secret) => text.includes(secret)).length;
  }
}
