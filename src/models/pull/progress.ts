import type { PullPhase, PullProgress } from "./types.ts";

const EVERY_MS = 100;

/**
 * Reports progress at most ten times a second. A new phase or source, and the end of a known total, are always
 * reported, so that no listener stays at 99 %.
 */
export function progressGate(listener: (progress: PullProgress) => void, now: () => number = () => performance.now()) {
  let toldAt = Number.NEGATIVE_INFINITY;
  let last: PullProgress | null = null;
  return (phase: PullPhase, source: string, bytes: number, totalBytes: number | null): void => {
    const news = last?.phase !== phase || last.source !== source || (bytes === totalBytes && last.bytes !== bytes);
    if (!news && now() - toldAt < EVERY_MS) return;
    toldAt = now();
    last = { phase, source, bytes, totalBytes };
    listener(last);
  };
}
