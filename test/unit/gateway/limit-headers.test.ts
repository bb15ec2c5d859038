import { expect, test } from "vitest";
import { anthropicLimits, durationText, openAiLimits } from "../../../src/gateway/front/limit-headers.ts";

const states = { requests: { limit: 60, remaining: 59, resetMs: 1_000 }, tokens: null };

test("OpenAI's clients read counts and durations", () => {
  expect(openAiLimits(states)).toEqual([
    "x-ratelimit-limit-requests",
    "60",
    "x-ratelimit-remaining-requests",
    "59",
    "x-ratelimit-reset-requests",
    "1s",
  ]);
});

test.each([
  [0.2, "1ms"],
  [999, "999ms"],
  [1_420, "1.5s"],
  [60_000, "1m0s"],
  [3_600_000 * 3 + 25 * 60_000 + 45_000, "3h25m45s"],
])("%d ms are written %s", (ms, text) => expect(durationText(ms)).toBe(text));

test("Anthropic's clients read counts and times", () => {
  const headers = anthropicLimits({ requests: null, tokens: states.requests });
  expect(headers.slice(0, 5)).toEqual([
    "anthropic-ratelimit-tokens-limit",
    "60",
    "anthropic-ratelimit-tokens-remaining",
    "59",
    "anthropic-ratelimit-tokens-reset",
  ]);
  expect(headers[5]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
});
