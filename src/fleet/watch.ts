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
  /** What a look has found; left out what it could not see. */
  seen(found: { readonly memoryBytes?: number; readonly decodingTokensPerSecond?: number }): void;
  wedged(evidence: string): void;
  /** Another program has its port. */
  portTaken(): void;
}

/** Looks at a running engine every few seconds until `signal` aborts or it is found wedged. Never rejects. */
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
      // Of an engine that does not tell what it does, nothing can be said without asking it for a token.
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
 * Follows up a complaint about an engine. A token of our own costs a slot its cached prefix, and on a busy engine it
 * would only wait: so one is asked for only where every slot is idle. Returns evidence that the engine is dead, or
 * null.
 */
export async function examine(
  engine: WatchedEngine,
  settings: FleetSettings,
  signal: AbortSignal,
): Promise<string | null> {
  const slots = await look(engine, settings, signal);
  if (signal.aborted || slots?.some((slot) => slot.busy)) return null;
  // One that does not tell what it does may be busy, and a token of ours then waits behind its work.
  const isSilent = engine.probe.slots === undefined;
  const patienceMs = isSilent ? settings.wedgeAfterMs : settings.suspectTokenMs;
  try {
    await engine.probe.token(engine.endpoint, engine.kind, AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]));
    return null;
  } catch {
    // Work that has come in meanwhile explains a slow token; the regular looks judge that.
    const after = await look(engine, settings, signal);
    if (signal.aborted || after?.some((slot) => slot.busy)) return null;
    const seconds = Math.round(patienceMs / 1000);
    return `${isSilent ? "" : "it is idle but "}produced no token within ${seconds} s`;
  }
}
