import { expect, test } from "vitest";
import { Agenda } from "../../../bench/sim/agenda.ts";
import { SimEngine } from "../../../bench/sim/engine.ts";
import { measure } from "../../../bench/sim/measure.ts";
import { deadlines, flooderOfFew, PROFILE, run, swaps } from "../../../bench/sim/scenarios.ts";
import { replay } from "../../../bench/sim/trace.ts";
import { streams } from "../../../bench/sim/workloads.ts";

test("what is to happen comes in the order of time, and of adding where times are equal", () => {
  const agenda = new Agenda<number>();
  for (const [index, at] of [5, 3, 5, 1, 3].entries()) agenda.add(at, index);
  expect(Array.from({ length: 5 }, () => agenda.take())).toEqual([3, 1, 4, 0, 2]);
  expect(agenda.take()).toBeNull();
});

test("a simulated instance prefills at its rate, decodes at its step, and remembers prompts", () => {
  const engine = new SimEngine({
    ...PROFILE,
    prefillTokensPerSecond: 1000,
    batchTokens: 500,
    decodeBaseMs: 10,
    decodeEachMs: 0,
  });
  const request = {
    id: "r",
    model: "m",
    tenant: "t",
    priority: 0,
    at: 0,
    promptTokens: 1000,
    outputTokens: 11,
    blocks: [{ hash: "x", tokens: 1000 }],
  };
  engine.admit(request, 0);
  expect(engine.nextAt).toBe(500);
  expect(engine.advance(500).first).toEqual([]);
  expect(engine.advance(1000).first).toEqual([request]);
  expect(engine.nextAt).toBe(1100);
  expect(engine.advance(1100).done).toMatchObject([{ cachedTokens: 0, promptMs: 1000, completionMs: 100 }]);
  engine.admit({ ...request, id: "again" }, 2000);
  // All but the last token are cached.
  expect(engine.nextAt).toBe(2001);
});

test("every request of a run ends, whatever the policy, and equal runs say the same", () => {
  const requests = streams([{ tenant: "t", perSecond: 10, promptTokens: 3000, outputTokens: 50 }], 20_000, 7);
  for (const policy of ["expected-time", "least-outstanding", "bounded-hash", "round-robin"] as const) {
    const [first, second] = [measure(run(requests, 4, policy)), measure(run(requests, 4, policy))];
    expect(first.refused).toBe(0);
    expect({ ...first, usPerDecision: 0 }).toEqual({ ...second, usPerDecision: 0 });
  }
});

test("expected time finds what is cached: conversations that go on prefill little but what is new", () => {
  const lines = Array.from({ length: 380 }, (_, index) => {
    const turn = Math.floor(index / 19);
    const conversation = index % 19;
    return {
      timestamp: index * 100,
      input_length: 512 * (turn + 1),
      output_length: 20,
      hash_ids: Array.from({ length: turn + 1 }, (_, block) => conversation * 1000 + block),
    };
  });
  const requests = replay(lines, 20_000, 1, lines.length);
  const hits = (policy: "expected-time" | "round-robin"): number => measure(run(requests, 4, policy)).hitRate;
  // 19 of 20 turns follow one; their prompts are new in one block alone.
  expect(hits("expected-time")).toBeGreaterThan(0.85);
  expect(hits("expected-time")).toBeGreaterThan(hits("round-robin"));
});

test("two models in turn: at most a fifth of the loads that first in, first out makes", () => {
  const { requests, loads } = swaps(100);
  expect(loads).toBeGreaterThan(2);
  expect(loads).toBeLessThanOrEqual(requests / 5);
});

test("answers with a deadline are in time although there is a queue, and with no queue the others don't notice", () => {
  const [without, heeded] = [deadlines("expected-time", 1, 1.5, false), deadlines("expected-time", 1, 1.5, true)];
  expect(without.inTime).toBeLessThan(0.3);
  expect(heeded.inTime).toBeGreaterThan(0.9);
  const [usual, quiet] = [deadlines("expected-time", 1, 0.8, false), deadlines("expected-time", 1, 0.8, true)];
  expect(quiet.othersP99S).toBeLessThanOrEqual(usual.othersP99S * 1.02);
});

test("beside a flooder of several instances, a light client waits at most half as long again as alone", () => {
  for (const overlapping of [false, true]) {
    const { aloneP99S, besideP99S } = flooderOfFew(PROFILE, 4, overlapping);
    expect(besideP99S).toBeLessThanOrEqual(1.5 * aloneP99S);
  }
});
