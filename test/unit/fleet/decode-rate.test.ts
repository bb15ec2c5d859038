import { expect, test } from "vitest";
import type { SlotProgress } from "../../../src/core/probe.ts";
import { DecodeRate } from "../../../src/fleet/decode-rate.ts";

const slot = (id: number, tokensDecoded: number, more: Partial<SlotProgress> = {}): SlotProgress => ({
  id,
  tokensDecoded,
  busy: true,
  promptTokensDone: 0,
  task: 1,
  ...more,
});

test("the rate follows what all busy slots generate between two looks", () => {
  const rate = new DecodeRate();
  expect(rate.look(0, [slot(0, 10), slot(1, 0, { busy: false })])).toBe(0);
  expect(rate.look(2000, [slot(0, 70), slot(1, 20)])).toBe(40);
});

test("a request that began between two looks counts from its first token", () => {
  const rate = new DecodeRate();
  rate.look(0, [slot(0, 100, { task: 1 })]);
  expect(rate.look(1000, [slot(0, 30, { task: 2 })])).toBe(30);
  expect(rate.look(2000, [slot(0, 12, { task: 2 })])).toBe(12);
});

test("an engine that has become idle generates nothing", () => {
  const rate = new DecodeRate();
  rate.look(0, [slot(0, 10)]);
  expect(rate.look(1000, [slot(0, 90, { busy: false })])).toBe(0);
});
