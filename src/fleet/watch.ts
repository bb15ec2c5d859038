import type { Clock } from "../core/clock.ts";
import type { ModelKind } from "../core/model.ts";
import type { EngineProbe, SlotProgress } from "../core/probe.ts";
import { DecodeRate } from "./decode-rate.ts";
import { trimLog } from "./engine-log.ts";
import type { FleetSettings } from "./ports.ts";
import { sleep } from "./readiness.ts";
import { groupUse } from "./vitals.ts";
import { Watchdog } from "./watchdog.ts";

export interface WatchedEngine {
  readonly pid: number;
  readonly socketPath: string;
  readonly kind: ModelKind;
  readonly logFile: string;
  readonly computesOnCpu: boolean;
}

export interface WatchReport {
  /** What a look has found; left out what it could not see. */
  seen(found: { readonly memoryBytes?: number; readonly decodingTokensPerSecond?: number }): void;
  wedged(evidence: string): void;
}

/** Looks at a running engine every few seconds until `signal` aborts or it is found wedged. Never rejects. */
export async function watchEngine(
  engine: WatchedEngine,
  probe: EngineProbe,
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
      const [slots, use] = await Promise.all([
        look(engine, probe, settings, signal),
        groupUse(engine.pid),
        trimLog(engine.logFile, settings.maxLogBytes).catch(() => false),
      ]);
      if (signal.aborted) return;
      report.seen({
        ...(use ? { memoryBytes: use.memoryBytes } : {}),
        ...(slots ? { decodingTokensPerSecond: rate.look(clock.monotonic(), slots) } : {}),
      });
      const verdict = watchdog.look({ at: clock.monotonic(), slots, cpuMs: use?.cpuMs ?? null });
      if (verdict.state === "wedged") return report.wedged(verdict.evidence);
      await sleep(clock, settings.pollMs, signal);
    }
  } catch {
    // Only the pause rejects, when this life is over.
  }
}

const look = (
  engine: WatchedEngine,
  probe: EngineProbe,
  settings: FleetSettings,
  signal: AbortSignal,
): Promise<readonly SlotProgress[] | null> =>
  probe
    .slots(engine.socketPath, AbortSignal.any([signal, AbortSignal.timeout(settings.lookTimeoutMs)]))
    .catch(() => null);

/**
 * Follows up a complaint about an engine. A token of our own costs a slot its cached prefix, and on a busy engine it would
 * only wait: so one is asked for only where every slot is idle. Returns evidence that the engine is dead, or null.
 */
export async function examine(
  engine: WatchedEngine,
  probe: EngineProbe,
  settings: FleetSettings,
  signal: AbortSignal,
): Promise<string | null> {
  const slots = await look(engine, probe, settings, signal);
  if (signal.aborted || slots?.some((slot) => slot.busy)) return null;
  try {
    await probe.token(
      engine.socketPath,
      engine.kind,
      AbortSignal.any([signal, AbortSignal.timeout(settings.suspectTokenMs)]),
    );
    return null;
  } catch {
    // Work that has come in meanwhile explains a slow token; the regular looks judge that.
    const after = await look(engine, probe, settings, signal);
    if (signal.aborted || after?.some((slot) => slot.busy)) return null;
    return `it has nothing to do and still gave no token within ${Math.round(settings.suspectTokenMs / 1000)} s`;
  }
}
