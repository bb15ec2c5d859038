import type { DaemonStatus, DeviceStatus, InstanceStatus } from "../api/status.ts";
import { formatBytes, formatDuration, formatRate, plural } from "./format.ts";
import { inFlightElsewhere } from "./nodes-text.ts";
import { diedByFault, type InstanceRow } from "./rows.ts";

/** Facts about the daemon in the order of their weight: the last ones leave first where the line is short. */
export function headline(status: DaemonStatus): string[] {
  const up = status.instances.filter((instance) => instance.state === "ready").length;
  const inFlight = status.instances.reduce((sum, instance) => sum + instance.inFlight, 0);
  const elsewhere = inFlightElsewhere(status.nodes ?? []);
  const atProviders = inFlightElsewhere(status.providers ?? []);
  const rate = status.instances.reduce((sum, instance) => sum + (instance.decodeTokensPerSecond ?? 0), 0);
  return [
    status.state === "stopping" ? "stopping" : `up ${formatDuration(status.now - status.startedAt)}`,
    `${inFlight} running`,
    ...(elsewhere > 0 ? [`${elsewhere} on other machines`] : []),
    ...(atProviders > 0 ? [`${atProviders} at providers`] : []),
    `${status.queued} waiting`,
    status.url ?? "no HTTP",
    `${formatRate(rate)} tok/s`,
    `${plural(up, "instance")} ready`,
    `${status.requestsServed} served`,
  ];
}

/** What to do where no instance is up. Pure. */
export function idleSentence({ models }: DaemonStatus): string {
  const local = models.find(
    ({ engine, error }) => !["remote", "provider", "worker"].includes(engine) && error === null,
  );
  if (models.length === 0) return "No models are configured: `assistant run smollm2` sets up a first one.";
  if (local === undefined && models.some(({ engine }) => engine === "worker"))
    return "No model is loaded here; workers serve some.";
  return local === undefined
    ? "No model can be loaded: see below."
    : `No model is loaded. A request loads one, or \`assistant load ${local.name}\`.`;
}

/** As many parts as fit into `width`, joined. */
export function joinThatFits(parts: readonly string[], width: number, separator = " · "): string {
  let line = "";
  for (const part of parts) {
    const next = line === "" ? part : line + separator + part;
    if (next.length > width) break;
    line = next;
  }
  return line;
}

/** Why an instance is not up, and what happens next; null while all is well with it. */
export function deathSentence(instance: InstanceStatus, now: number): string | null {
  const death = instance.lastDeath;
  if (death === null || instance.state === "ready" || !diedByFault(instance)) return null;
  const next =
    instance.state === "starting"
      ? "starting again"
      : instance.retryAt === null
        ? "not restarted automatically"
        : `next try in ${formatDuration(Math.max(0, instance.retryAt - now))}`;
  const tries = instance.attempts > 1 ? `, ${plural(instance.attempts, "try").replace("trys", "tries")} so far` : "";
  return `${instance.id}: ${death.message.replace(/\.$/u, "")} (${formatDuration(now - death.at)} ago${tries}; ${next})`;
}

/** Models that cannot be served, without those that an instance of theirs speaks for. Pure. */
export function brokenModels(
  { models }: DaemonStatus,
  rows: readonly InstanceRow[],
): { readonly name: string; readonly error: string }[] {
  const told = new Set(
    rows.filter(({ instance, now }) => deathSentence(instance, now) !== null).map(({ instance }) => instance.model),
  );
  return models.flatMap(({ name, error }) => (error === null || told.has(name) ? [] : [{ name, error }]));
}

/** How much of a device's memory is taken, 0–1. */
export const memoryUsed = (device: DeviceStatus): number =>
  device.memoryTotalBytes > 0 ? (device.memoryTotalBytes - device.memoryFreeBytes) / device.memoryTotalBytes : 0;

/**
 * `12.3 GB of 80.0 GB`, then what models are kept from, the request that has it for itself, then load and heat where
 * they can be read.
 */
export function deviceFacts(device: DeviceStatus): string[] {
  return [
    `${formatBytes(device.memoryTotalBytes - device.memoryFreeBytes)} of ${formatBytes(device.memoryTotalBytes)}`,
    ...(device.reservedBytes ? [`${formatBytes(device.reservedBytes)} reserved`] : []),
    ...(device.exclusiveRequest === undefined ? [] : [`held by ${device.exclusiveRequest}`]),
    ...(device.utilizationPercent === null ? [] : [`${Math.round(device.utilizationPercent)}% busy`]),
    ...(device.temperatureCelsius === null ? [] : [`${Math.round(device.temperatureCelsius)} °C`]),
  ];
}
