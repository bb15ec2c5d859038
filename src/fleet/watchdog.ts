import type { SlotProgress } from "../core/probe.ts";

/** One check of a running engine. */
export interface VitalSigns {
  /** Monotonic milliseconds. */
  readonly at: number;
  /** The response of `/slots`, or null if there was none. */
  readonly slots: readonly SlotProgress[] | null;
  /** Processor time used so far by the engine, milliseconds; null where unknown. */
  readonly cpuMs: number | null;
}

export interface WatchdogSettings {
  readonly wedgeAfterMs: number;
  /** A longer gap between checks means that the daemon, not the engine, was suspended. */
  readonly longestGapMs: number;
  /** The engine computes on the CPU: processor time is a sign of life. */
  readonly computesOnCpu: boolean;
}

export type Verdict =
  | { readonly state: "well" }
  | { readonly state: "waiting"; readonly sinceMs: number }
  | { readonly state: "wedged"; readonly evidence: string };

/** One batch of a large model may take minutes on a CPU without a change in the counts; but not forever. */
const PATIENCE_WHILE_COMPUTING = 10;
const MIN_LOOKS = 3;

/**
 * Distinguishes a wedged engine from a working one. Its health route is not enough: it responds even if inference is
 * dead. What counts is whether busy slots make progress. Keeps its observations; a pure function of the checks it was
 * given.
 */
export class Watchdog {
  readonly #settings: WatchdogSettings;
  #progress = "";
  #lastSign: VitalSigns | null = null;
  #lastLookAt = 0;
  #looks = 0;

  constructor(settings: WatchdogSettings) {
    this.#settings = settings;
  }

  look(signs: VitalSigns): Verdict {
    const progress = signs.slots ? describe(signs.slots) : null;
    const idle = signs.slots?.every((slot) => !slot.busy) ?? false;
    const weSlept = signs.at - this.#lastLookAt > this.#settings.longestGapMs;
    this.#lastLookAt = signs.at;
    if (this.#lastSign === null || idle || weSlept || (progress !== null && progress !== this.#progress)) {
      if (progress !== null) this.#progress = progress;
      this.#lastSign = signs;
      this.#looks = 0;
      return { state: "well" };
    }
    this.#looks++;
    const sinceMs = signs.at - this.#lastSign.at;
    const patience = this.#settings.wedgeAfterMs * (this.#computed(signs, sinceMs) ? PATIENCE_WHILE_COMPUTING : 1);
    if (sinceMs < patience || this.#looks < MIN_LOOKS) return { state: "waiting", sinceMs };
    return { state: "wedged", evidence: evidence(signs, sinceMs) };
  }

  #computed(signs: VitalSigns, sinceMs: number): boolean {
    const before = this.#lastSign?.cpuMs ?? null;
    return (
      this.#settings.computesOnCpu && before !== null && signs.cpuMs !== null && signs.cpuMs - before > sinceMs / 2
    );
  }
}

const describe = (slots: readonly SlotProgress[]): string =>
  slots.map((slot) => `${slot.id}:${slot.busy ? `${slot.promptTokensDone}+${slot.tokensDecoded}` : "-"}`).join(" ");

function evidence(signs: VitalSigns, sinceMs: number): string {
  const seconds = Math.round(sinceMs / 1000);
  if (!signs.slots) return `it has not reported its slots for ${seconds} s`;
  const busy = signs.slots.filter((slot) => slot.busy).length;
  return `${busy} of its ${signs.slots.length} slots are busy and none made progress for ${seconds} s`;
}
