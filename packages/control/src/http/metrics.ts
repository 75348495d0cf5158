import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Control } from "../control.ts";
import { oneBacklog } from "../store/notifications.ts";

/** What is counted about the HTTP interface and the process; a registry of its own, so that two servers in one process do not meet. */
export interface HttpMetrics {
  readonly registry: Registry;
  readonly requests: Counter<"method" | "route" | "status">;
  readonly seconds: Histogram<"method" | "route">;
  readonly refusals: Counter<"code">;
  readonly streams: Gauge;
}

export function createMetrics(control: Pick<Control, "db" | "log">): HttpMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  new Gauge({
    name: "cardea_notifications_waiting",
    help: "deliveries of notifications that are not done yet",
    registers,
    async collect() {
      try {
        this.set(await oneBacklog(control.db));
      } catch (error) {
        // The other figures must stay readable while the database is away.
        control.log.warn({ err: error }, "counting notifications failed");
        this.remove();
      }
    },
  });
  return {
    registry,
    requests: new Counter({
      name: "cardea_http_requests_total",
      help: "answered HTTP calls",
      labelNames: ["method", "route", "status"],
      registers,
    }),
    seconds: new Histogram({
      name: "cardea_http_request_seconds",
      help: "time from a call's headers to its answer, long polls and streams left out",
      labelNames: ["method", "route"],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    }),
    refusals: new Counter({
      name: "cardea_http_refusals_total",
      help: "calls answered with a problem, by its code",
      labelNames: ["code"],
      registers,
    }),
    streams: new Gauge({ name: "cardea_event_streams", help: "open server-sent event streams", registers }),
  };
}
