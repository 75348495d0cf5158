/** The control plane's own database where nobody named another: `postgres/` in the data directory, reachable by a Unix socket alone. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { CardeaError } from "@cardea/core/contract/errors";
import { systemEnvironment, systemRandom } from "../processes/system.ts";
import { findBinaries, type Binaries } from "./binaries.ts";
import { startCluster, type Cluster } from "./cluster.ts";
import { ensureDatabase } from "./database.ts";

/** @throws CardeaError `database_unavailable` where this machine has no usable PostgreSQL programs */
export async function demandBinaries(): Promise<Binaries> {
  const path = systemEnvironment["PATH"];
  const found = await findBinaries(path === undefined ? {} : { path });
  if (found.kind === "found") return found.binaries;
  throw new CardeaError(
    "database_unavailable",
    `no PostgreSQL programs were found; looked at ${found.looked.join("; ")}`,
  );
}

/** Starts or adopts it, with the database `cardea` in it. @throws as `startCluster` */
export async function startEmbeddedDatabase(dataDirectory: string): Promise<Cluster> {
  await mkdir(join(dataDirectory, "log"), { recursive: true, mode: 0o700 });
  const cluster = await startCluster({
    binaries: await demandBinaries(),
    superuser: "cardea",
    random: systemRandom,
    dataDir: join(dataDirectory, "postgres"),
    listen: { socketDir: join(dataDirectory, "socket") },
    log: { path: join(dataDirectory, "log", "postgres.log") },
  });
  await ensureDatabase(cluster.connection(), "cardea");
  return cluster;
}
