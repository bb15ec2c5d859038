import { expect, test } from "vitest";
import { AssistantError } from "../../../src/core/errors.ts";
import { Health } from "../../../src/providers/health.ts";

const lost = new AssistantError("provider_unavailable", "away");
const middle = (): number => 0.5;

test("five failures in a row open it, an answer between them does not", () => {
  const health = new Health();
  for (let index = 0; index < 4; index++) expect(health.failed(lost)).toBe(false);
  health.succeeded();
  for (let index = 0; index < 4; index++) expect(health.failed(lost)).toBe(false);
  expect(health.reason).toBeNull();
  expect(health.failed(lost)).toBe(true);
  expect(health.reason).toBe(lost);
});

test("what says nothing of the provider does not count", () => {
  const health = new Health();
  for (let index = 0; index < 10; index++) {
    health.failed(new AssistantError("provider_busy", "slow down"));
    health.failed(new AssistantError("invalid_request", "wrong field"));
    health.failed(new AssistantError("provider_error", "no such model", { param: "model" }));
  }
  expect(health.reason).toBeNull();
});

test("looks in vain come at doubling intervals, up to a minute", () => {
  const health = new Health();
  const pauses = Array.from({ length: 8 }, () => {
    health.lookFailed(lost);
    return health.pauseMs(middle);
  });
  expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
  health.succeeded();
  health.lookFailed(lost);
  expect(health.pauseMs(middle)).toBe(1_000);
});

test("half open, one more failure opens it again", () => {
  const health = new Health();
  health.lookFailed(lost);
  health.halfOpen();
  expect(health.reason).toBeNull();
  expect(health.failed(lost)).toBe(true);
});
