import type { LimitState, LimitStates } from "./key-limits.ts";

/** Headers of a key's limits: name, value, name, value, … */
export type LimitHeaders = (states: LimitStates) => string[];

/** OpenAI's: `x-ratelimit-limit-requests: 60`, `x-ratelimit-reset-tokens: 6m0s`. */
export const openAiLimits: LimitHeaders = ({ requests, tokens }) => [
  ...openAiKind("requests", requests),
  ...openAiKind("tokens", tokens),
];

/** Anthropic's: `anthropic-ratelimit-requests-limit: 60`, `anthropic-ratelimit-tokens-reset: 2026-01-01T00:00:00Z`. */
export const anthropicLimits: LimitHeaders = ({ requests, tokens }) => [
  ...anthropicKind("requests", requests),
  ...anthropicKind("tokens", tokens),
];

function openAiKind(kind: string, state: LimitState | null): string[] {
  if (state === null) return [];
  return [
    ...[`x-ratelimit-limit-${kind}`, String(state.limit)],
    ...[`x-ratelimit-remaining-${kind}`, String(state.remaining)],
    ...[`x-ratelimit-reset-${kind}`, durationText(state.resetMs)],
  ];
}

function anthropicKind(kind: string, state: LimitState | null): string[] {
  if (state === null) return [];
  const prefix = `anthropic-ratelimit-${kind}`;
  const resetAt = new Date(Math.ceil((Date.now() + state.resetMs) / 1_000) * 1_000);
  return [
    ...[`${prefix}-limit`, String(state.limit)],
    ...[`${prefix}-remaining`, String(state.remaining)],
    ...[`${prefix}-reset`, resetAt.toISOString().replace(".000Z", "Z")],
  ];
}

/** Durations in OpenAI's format: `120ms`, `1.5s`, `6m0s`, `3h25m45s`. */
export function durationText(ms: number): string {
  if (ms < 1_000) return `${Math.ceil(ms)}ms`;
  if (ms < 60_000) return `${Math.ceil(ms / 100) / 10}s`;
  const seconds = Math.ceil(ms / 1_000);
  const [hours, minutes] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60];
  return `${hours > 0 ? `${hours}h` : ""}${minutes}m${seconds % 60}s`;
}
