/** Where a log's checkpoint and tiles come from: a control plane, or a folder of files. Neither is trusted; verifying is what they are for. */
import type { FetchTile } from "@cardea/core/log/tile-source";
import type { CardeaClient } from "./client.ts";

export interface LogSource {
  /** The newest signed checkpoint, as a note. */
  checkpoint(signal?: AbortSignal): Promise<string>;
  readonly tile: FetchTile;
}

export function logOf(client: CardeaClient): LogSource {
  return { checkpoint: () => client.checkpoint(), tile: client.tile };
}
