import { setTimeout as sleep } from "node:timers/promises";
import type { Metric, Registry } from "prom-client";
import { type Family, families, type MetricSources } from "./families.ts";

/** How often the delay of the event loop is looked at, milliseconds. */
const LOOK_EVERY_MS = 20;

let loaded: Promise<{ readonly client: typeof import("prom-client"); readonly process: Registry }> | null = null;

/**
 * What is measured, in Prometheus' text format: the daemon's own metrics, and those of its process (`process_*`,
 * `nodejs_*`), which are taken from the first scrape on, so that who does not ask pays nothing.
 */
export async function exposition(sources: MetricSources): Promise<string> {
  loaded ??= load();
  const { client, process } = await loaded;
  const own = new client.Registry();
  for (const family of families(sources)) own.registerMetric(asMetric(family));
  return `${await own.metrics()}\n${await process.metrics()}`;
}

async function load(): Promise<{ client: typeof import("prom-client"); process: Registry }> {
  const { default: client } = await import("prom-client");
  const register = new client.Registry();
  client.collectDefaultMetrics({ register, eventLoopMonitoringPrecision: LOOK_EVERY_MS });
  // Delays that nobody has measured yet would read as NaN.
  await sleep(2 * LOOK_EVERY_MS);
  return { client, process: register };
}

/** The library's own metrics hash labels at every observation; it asks no more of one than this, though its types say so. */
function asMetric({ name, help, type, samples }: Family): Metric {
  const values = samples.map(({ labels, value, suffix = "" }) => ({ labels, value, metricName: `${name}${suffix}` }));
  return { name, help, type, get: async () => ({ name, help, type, values, aggregator: "sum" }) } as unknown as Metric;
}
