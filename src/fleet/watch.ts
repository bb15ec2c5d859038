import type { Clock } from "../core/clock.ts";
import type { Endpoint } from "../core/endpoint.ts";
import type { ModelKind } from "../core/model.ts";
import type { EngineProbe, SlotProgress } from "../core/probe.ts";
import { DecodeRate } from "./decode-rate.ts";
import { trimLog } from "./engine-log.ts";
import type { PortWatch } from "./port-listener.ts";
import type { FleetSettings } from "./ports.ts";
import { sleep } from "./readiness.ts";
import { groupUse } from "./vitals.ts";
import { Watchdog } from "./watchdog.ts";

export interface WatchedEngine {
  readonly pid: number;
  readonly endpoint: Endpoint;
  readonly probe: EngineProbe;
  readonly portWatch: PortWatch | null;
  readonly kind: ModelKind;
  readonly logFile: string;
  readonly computesOnCpu: boolean;
}

export interface WatchReport {
  /** Findings of a check, without those that were not available. */
  seen(found: { readonly memoryBytes?: number; readonly decodingTokensPerSecond?: number }): void;
  wedged(evidence: string): void;
  /** Another program has its port. */
  portTaken(): void;
}

/** Checks a running engine every few seconds until `signal` aborts or it is found wedged. Never rejects. */
export async function watchEngine(
  engine: WatchedEngine,
  clock: Clock,
  settings: FleetSettings,
  signal: AbortSignal,
  report: WatchReport,
): Promise<void> {
  const watchdog = new Watchdog({
    wedgeAfterMs: settings.wedgeAfterMs,
    longestGapMs: (settings.pollMs + settings.lookTimeoutMs) * 4,
    computesOnCpu: engine.computesOnCpu,
  });
  const rate = new DecodeRate();
  try {
    for (;;) {
      const [slots, use, listener] = await Promise.all([
        look(engine, settings, signal),
        groupUse(engine.pid),
        engine.portWatch?.lookAgain(),
        trimLog(engine.logFile, settings.maxLogBytes).catch(() => false),
      ]);
      if (signal.aborted) return;
      if (listener === "stranger") return report.portTaken();
      report.seen({
        ...(use ? { memoryBytes: use.memoryBytes } : {}),
        ...(slots ? { decodingTokensPerSecond: rate.look(clock.monotonic(), slots) } : {}),
      });
      // If an engine does not report its slots, only asking it for a token tells whether it works.
      const isSilent = engine.probe.slots === undefined;
      const verdict = isSilent ? null : watchdog.look({ at: clock.monotonic(), slots, cpuMs: use?.cpuMs ?? null });
      if (verdict?.state === "wedged") return report.wedged(verdict.evidence);
      await sleep(clock, settings.pollMs, signal);
    }
  } catch {
    // Only the pause rejects, when this life is over.
  }
}

const look = (
  engine: WatchedEngine,
  settings: FleetSettings,
  signal: AbortSignal,
): Promise<readonly SlotProgress[] | null> =>
  engine.probe
    .slots?.(engine.endpoint, AbortSignal.any([signal, AbortSignal.timeout(settings.lookTimeoutMs)]))
    .catch(() => null) ?? Promise.resolve(null);

/**
 * Investigates a complaint about an engine. A test token costs a slot its cached prefix, and on a busy engine it would
 * only wait, so it is requested only if every slot is idle. Returns evidence that the engine is dead, or null.
 */
export async function examine(
  engine: WatchedEngine,
  settings: FleetSettings,
  signal: AbortSignal,
): Promise<string | null> {
  const slots = await look(engine, settings, signal);
  if (signal.aborted || slots?.some((slot) => slot.busy)) return null;
  // An engine that does not report its slots may be busy, and a test token waits behind its work.
  const isSilent = engine.probe.slots === undefined;
  const patienceMs = isSilent ? settings.wedgeAfterMs : settings.suspectTokenMs;
  try {
    await engine.probe.token(engine.endpoint, engine.kind, AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]));
    return null;
  } catch {
    // Work that has arrived meanwhile explains a slow token; the regular checks judge that.
    const after = await look(engine, settings, signal);
    if (signal.aborted || after?.some((slot) => slot.busy)) return null;
    const seconds = Math.round(patienceMs / 1000);
    return `${isSilent ? "" : "it is idle but "}produced no token within ${seconds} s`;
  }
}
