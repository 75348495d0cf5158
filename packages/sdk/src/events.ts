import { StreamedEvent } from "@cardea/core/contract/api/operations";
import type { Transport } from "./transport.ts";

/**
 * Server-sent events from the log, in its order, beginning after `after` (an index) or now. Ends when the signal aborts or the
 * server closes; resume by the last event's index. @throws ApiError, CardeaError as every call.
 */
export async function* streamEvents(transport: Transport, signal: AbortSignal, after?: number): AsyncGenerator<StreamedEvent> {
  const headers = { accept: "text/event-stream", ...(after !== undefined && { "last-event-id": String(after) }) };
  const response = await transport.open("/v1/events", headers, signal);
  const decoder = new TextDecoder();
  let rest = "";
  try {
    // What `fetch` streams are byte chunks.
    for await (const chunk of response.body as ReadableStream<Uint8Array> | null ?? []) {
      const frames = (rest + decoder.decode(chunk, { stream: true })).split("\n\n");
      rest = frames.pop() ?? "";
      for (const frame of frames) {
        const data = frame.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart()).join("\n");
        if (data !== "") yield StreamedEvent.parse(JSON.parse(data));
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
