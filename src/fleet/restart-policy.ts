import type { Death } from "../core/instance.ts";

export interface FailureFacts {
  readonly cause: Death["cause"];
  /** How far the instance got: nothing was spawned yet, it was loading, or it had been ready. */
  readonly phase: "preparing" | "starting" | "up";
  /** Milliseconds it had been ready; 0 if never. */
  readonly upMs: number;
  /** Failures since the last stable time, not counting this one. */
  readonly failuresBefore: number;
}

export interface RestartDecision {
  readonly verdict: "at-once" | "after-delay";
  /** Milliseconds before the next start is allowed. */
  readonly delayMs: number;
  /** Failures to remember, including this one. */
  readonly failures: number;
  /** For people, appended to the reason of death. */
  readonly sentence: string;
}

export const restartLimits = {
  firstDelayMs: 10_000,
  longestDelayMs: 300_000,
  /** Nothing was spawned, so retrying is cheap, and the user may just have fixed the cause (a pull, a build). */
  preparingDelayMs: 1_000,
  /** After being ready for this long, an instance counts as healthy and its earlier failures are forgotten. */
  stableAfterMs: 60_000,
  /** Share by which delays vary, so that instances that died together do not restart together. */
  jitter: 0.1,
} as const;

/**
 * When a failed instance may be started again.
 *
 *   died while    | failures before | next start
 *   preparing     | any             | 1 s
 *   up            | 0               | at once
 *   up            | n > 0           | 10 s · 2^(n-1), at most 5 min
 *   starting      | n               | 10 s · 2^n, at most 5 min
 *
 * Failures count from 0 again once it was ready for a minute. `random` gives 0–1.
 */
export function decideRestart(facts: FailureFacts, random: () => number): RestartDecision {
  const before = facts.upMs >= restartLimits.stableAfterMs ? 0 : facts.failuresBefore;
  if (facts.phase === "preparing") return delayed(restartLimits.preparingDelayMs, facts.failuresBefore);
  if (facts.phase === "up" && before === 0)
    return { verdict: "at-once", delayMs: 0, failures: 1, sentence: "It may be started again at once." };
  const doublings = facts.phase === "up" ? before - 1 : before;
  const base = Math.min(restartLimits.longestDelayMs, restartLimits.firstDelayMs * 2 ** Math.min(doublings, 30));
  return delayed(base * (1 - restartLimits.jitter + 2 * restartLimits.jitter * random()), before + 1);
}

function delayed(delayMs: number, failures: number): RestartDecision {
  const rounded = Math.round(delayMs);
  const times = failures > 1 ? ` after ${failures} failures in a row` : "";
  return {
    verdict: "after-delay",
    delayMs: rounded,
    failures,
    sentence: `The next start is tried in ${Math.ceil(rounded / 1000)} s${times}.`,
  };
}
