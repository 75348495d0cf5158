/** The last actions of a session, as an approver sees them beside the one that waits. */
import { maxRecent, maxRecentLength } from "@cardea/core/wire/action-events";
import { toPlainText } from "@cardea/core/documents/primitives";

export class Recent {
  readonly #texts: string[] = [];

  note(text: string): void {
    // A statement may be megabytes long: what is cut off is not kept.
    this.#texts.push(text.length > maxRecentLength ? Buffer.from(text.slice(0, maxRecentLength)).toString() : text);
    if (this.#texts.length > maxRecent) this.#texts.shift();
  }

  /** The oldest first. */
  texts(): string[] {
    return this.#texts.map((text) => toPlainText(text, maxRecentLength));
  }
}
