import { CardeaError } from "@cardea/core/contract/errors";
import type { FastifyInstance } from "fastify";
import { checkpoint } from "../audit/checkpoint.ts";
import { tile } from "../audit/tile.ts";
import type { Control } from "../control.ts";
import type { Entrance } from "./entrance.ts";

const forEver = "public, max-age=31536000, immutable";

/**
 * The log as `tlog-tiles` publishes it, under `/v1/log`: checkpoint and tiles, for anybody who wants to verify it. A leaf holds ids and
 * commitments, never who somebody is or what they wrote.
 */
export function registerLogFiles(app: FastifyInstance, control: Control, entrance: Entrance): void {
  app.get(
    "/v1/log/checkpoint",
    { schema: { summary: "the newest signed checkpoint", tags: ["log"] } },
    async (request, reply) => {
      await entrance.admit(request, "anybody");
      return reply.type("text/plain; charset=utf-8").send(await checkpoint(control));
    },
  );

  app.get<{ Params: { "*": string } }>(
    "/v1/log/tile/*",
    { schema: { summary: "a tile or entry bundle by its path", tags: ["log"] } },
    async (request, reply) => {
      await entrance.admit(request, "anybody");
      const path = `tile/${request.params["*"]}`;
      const bytes = await tile(control, path);
      if (bytes === undefined) throw new CardeaError("not_found", "the log has no such tile");
      // What is published at a path never changes, a partial tile's path included: its width is part of it.
      return reply.header("cache-control", forEver).type("application/octet-stream").send(Buffer.from(bytes));
    },
  );
}
