/** Server-sent events from the log, in its order. An event's id is its index, so that a stream goes on where the last one broke off. */
import { StreamedEvent } from "@cardea/core/wire/api/operations";
import { CardeaError, errors } from "@cardea/core/contract/errors";
import { parseCheckpoint } from "@cardea/core/log/checkpoint";
import type { CardeaClient } from "./client.ts";
import { pause } from "./pause.ts";
import type { Transport } from "./transport.ts";

/** Far above any event of the log. */
const maxFrameLength = 1_048_576;
const firstPauseMs = 500;
const longestPauseMs = 15_000;

/**
 * One stream, beginning after `after` (an index; -1 is from the beginning) or now. Ends when the signal aborts or the server closes.
 * @throws ApiError, CardeaError as every call.
 */
export async function* streamEvents(
  transport: Transport,
  signal: AbortSignal,
  after?: number,
): AsyncGenerator<StreamedEvent> {
  const headers = { accept: "text/event-stream", ...(after !== undefined && { "last-event-id": String(after) }) };
  const response = await transport.open("/v1/events", headers, signal);
  const decoder = new TextDecoder();
  let rest = "";
  try {
    // What `fetch` streams are byte chunks.
    for await (const chunk of (response.body as ReadableStream<Uint8Array> | null) ?? []) {
      const frames = (rest + decoder.decode(chunk, { stream: true })).split(/\r?\n\r?\n/);
      rest = frames.pop() ?? "";
      if (rest.length > maxFrameLength)
        throw new CardeaError("too_large", "an event is larger than any event of the log");
      for (const frame of frames) {
        const event = eventOf(frame);
        if (event !== undefined) yield event;
      }
    }
  } catch (cause) {
    if (signal.aborted) return;
    throw cause instanceof CardeaError
      ? cause
      : new CardeaError("unreachable", "the stream of events broke off", { cause });
  }
}

export interface Following {
  readonly signal: AbortSignal;
  /** Begin after this index; -1 is from the beginning. Default: from now on. */
  readonly after?: number;
  /** Hears of every interruption, before the pause that follows it. */
  readonly onInterruption?: (error: CardeaError | undefined, pauseMs: number) => void;
}

/**
 * Every event, over as many streams as it takes, each once and in order, until the signal aborts. What cannot heal by itself is thrown.
 * INVARIANT: an event is given out once its index is noted, so a consumer that resumes from the last one it saw misses nothing.
 */
export async function* followEvents(
  client: CardeaClient,
  { signal, after, onInterruption }: Following,
): AsyncGenerator<StreamedEvent> {
  let last = after ?? (await newestIndex(client));
  let pauseMs = firstPauseMs;
  const over = () => signal.aborted;
  while (!over()) {
    let failure: CardeaError | undefined;
    try {
      for await (const event of streamEvents(client.transport, signal, last)) {
        if (event.index <= last) continue;
        last = event.index;
        pauseMs = firstPauseMs;
        yield event;
      }
    } catch (error) {
      if (over()) return;
      if (!(error instanceof CardeaError) || !errors[error.code].retryable) throw error;
      failure = error;
    }
    if (over()) return;
    onInterruption?.(failure, pauseMs);
    await pause(pauseMs, signal);
    pauseMs = Math.min(pauseMs * 2, longestPauseMs);
  }
}

/** Where "from now on" is, named once, so that what happens before the first event comes is not lost with a broken stream. */
async function newestIndex(client: CardeaClient): Promise<number> {
  const text = await client.checkpoint();
  const parsed = parseCheckpoint(text.slice(0, text.indexOf("\n\n") + 1));
  if (!parsed.ok) throw new CardeaError("internal", `the control plane's checkpoint cannot be read: ${parsed.detail}`);
  return parsed.value.size - 1;
}

function eventOf(frame: string): StreamedEvent | undefined {
  const data = frame
    .split(/\r?\n/)
    .filter((line) => line.startsWith("data:"))
    .map((line) => line.slice(5).trimStart())
    .join("\n");
  if (data === "") return undefined;
  try {
    return StreamedEvent.parse(JSON.parse(data));
  } catch (cause) {
    throw new CardeaError("internal", "an event has another form than expected; are both of the same version?", {
      cause,
    });
  }
}
