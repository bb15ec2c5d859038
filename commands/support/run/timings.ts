import type { ChatTimings } from "../../../src/client/chat-stream.ts";

/** What `--verbose` reports in addition to the engine's own counts. Milliseconds. */
export interface AnswerClock {
  /** From the request to the end. */
  readonly totalMs: number;
  /** From the request to the first text, including queue and loading; null if there was none. */
  readonly firstTextMs: number | null;
}

/** The lines of `--verbose`, like Ollama's. Values not reported by the engine are omitted. Pure. */
export function timingLines(timings: ChatTimings, clock: AnswerClock): string[] {
  const rows: [string, string | null][] = [
    ["total duration:", seconds(clock.totalMs)],
    ["time to first token:", seconds(clock.firstTextMs)],
    ["prompt eval count:", tokens(timings.promptTokens)],
    ["prompt cached count:", timings.cachedTokens === 0 ? null : tokens(timings.cachedTokens)],
    ["prompt eval duration:", seconds(timings.promptMs)],
    ["prompt eval rate:", rate(uncached(timings), timings.promptMs)],
    ["eval count:", tokens(timings.completionTokens)],
    ["eval duration:", seconds(timings.completionMs)],
    ["eval rate:", rate(timings.completionTokens, timings.completionMs)],
  ];
  return rows.flatMap(([name, value]) => (value === null ? [] : [`${name.padEnd(22)}${value}`]));
}

const uncached = ({ promptTokens, cachedTokens }: ChatTimings): number | null =>
  promptTokens === null ? null : promptTokens - (cachedTokens ?? 0);

const seconds = (milliseconds: number | null): string | null => {
  if (milliseconds === null) return null;
  return milliseconds < 1000 ? `${milliseconds.toFixed(1)} ms` : `${(milliseconds / 1000).toFixed(2)} s`;
};

const tokens = (count: number | null): string | null =>
  count === null ? null : `${count} token${count === 1 ? "" : "s"}`;

const rate = (count: number | null, milliseconds: number | null): string | null =>
  count === null || milliseconds === null || milliseconds <= 0
    ? null
    : `${((count / milliseconds) * 1000).toFixed(2)} tokens/s`;
