import fc from "fast-check";
import { expect, test } from "vitest";
import { type Job, StubEngine, type StubRequest } from "../../../bench/stub/engine.ts";
import { largeGpu } from "../../../bench/stub/parameters.ts";
import { pairsOf, stepMs } from "../../../bench/stub/time.ts";

const rates = {
  prefillTokensPerSecond: 1000,
  decodeBaseMs: 10,
  decodeEachMs: 2,
  decodeKvMsPerToken: 0,
  prefillPairMs: 0,
  promptBaseMs: 0,
  mixedDecodeShare: 1,
};
const parameters = { ...largeGpu, ...rates, templateTokens: 0 };
const engine = (more: { slots?: number; hostCacheTokens?: number } = {}): StubEngine =>
  new StubEngine({ parameters, slots: 2, batchTokens: 100, hostCacheTokens: 0, random: () => 0.5, noise: 0, ...more });
const request = (prompt: string, outputTokens = 1, more: Partial<StubRequest> = {}): StubRequest => ({
  prompt: Buffer.from(prompt),
  outputTokens,
  slot: null,
  reuse: true,
  answerText: (tokens) => "answ".repeat(tokens),
  ...more,
});

/** Runs it dry; the engine's time at which each job had each of its tokens. */
function drain(stub: StubEngine): Map<Job, number[]> {
  const times = new Map<Job, number[]>();
  for (let at = stub.nextAt; at !== null; at = stub.nextAt)
    for (const job of stub.advance(at)) times.set(job, [...(times.get(job) ?? []), at]);
  return times;
}

test("a step takes a + b × sequences + c × their tokens, and prompt tokens ÷ rate beside that", () => {
  const full = { ...rates, decodeKvMsPerToken: 0.01, prefillPairMs: 0.001, promptBaseMs: 5, mixedDecodeShare: 0.5 };
  expect(stepMs(full, { prefillTokens: 0, decoding: 3, kvTokens: 200 })).toBeCloseTo(10 + 6 + 2);
  expect(stepMs(full, { prefillTokens: 100, prefillPairs: pairsOf(50, 100), prompts: 1, decoding: 0 })).toBeCloseTo(
    100 + 10 + 5,
  );
  expect(stepMs(full, { prefillTokens: 100, decoding: 3, kvTokens: 200 })).toBeCloseTo(100 + 9);
});

test("a prompt is prefilled in batches, its first token comes with the last of them, the others a step apart", () => {
  const stub = engine();
  const job = stub.admit(request("x".repeat(1000), 3), 0);
  expect(drain(stub).get(job)).toEqual([250, 262, 274]);
  expect(stub.active).toBe(0);
});

test("a prompt that joins others delays their tokens by its batches", () => {
  const stub = engine();
  const first = stub.admit(request("x".repeat(40), 3), 0);
  stub.advance(stub.nextAt ?? 0);
  const second = stub.admit(request("y".repeat(396), 1), 10);
  const times = drain(stub);
  expect(times.get(first)).toEqual([22, 22 + 12 + 99]);
  expect(times.get(second)).toEqual([22 + 12 + 99]);
});

test("the next turn of a conversation computes only what is new", () => {
  const stub = engine();
  stub.admit(request("a".repeat(400), 10), 0);
  drain(stub);
  const next = stub.admit(request(`${"a".repeat(400)}${"answ".repeat(10)}${"b".repeat(80)}`), 1000);
  expect(next).toMatchObject({ promptTokens: 130, cachedTokens: 110 });
  expect(drain(stub).get(next)).toEqual([1020]);
});

test("at least one token is computed, and none is reused where the request forbids it", () => {
  const stub = engine();
  stub.admit(request("a".repeat(400)), 0);
  drain(stub);
  expect(stub.admit(request("a".repeat(400)), 1000).cachedTokens).toBe(99);
  drain(stub);
  expect(stub.admit(request("a".repeat(400), 1, { reuse: false }), 2000).cachedTokens).toBe(0);
});

test("what loses its slot comes back from the host cache, as far as that has room", () => {
  const [a, b] = ["a".repeat(400), "b".repeat(400)];
  const cachedAgain = (hostCacheTokens: number): number => {
    const stub = engine({ slots: 1, hostCacheTokens });
    for (const prompt of [a, b]) {
      stub.admit(request(prompt), 0);
      drain(stub);
    }
    return stub.admit(request(a), 0).cachedTokens;
  };
  expect(cachedAgain(1000)).toBe(99);
  expect(cachedAgain(50)).toBe(0);
});

test("a request without a slot waits for one, and for the one it names", () => {
  const stub = engine();
  const jobs = [request("a".repeat(40), 5), request("b".repeat(40), 50), request("c".repeat(40), 1, { slot: 0 })].map(
    (each) => stub.admit(each, 0),
  );
  expect(stub.active).toBe(2);
  const times = drain(stub);
  const [, second = [], third = []] = jobs.map((job) => times.get(job));
  expect(third[0]).toBeGreaterThan(second.at(-1) ?? 0);
});

test("a request that is left stops at the end of the step, and its slot keeps what was computed", () => {
  const stub = engine({ slots: 1 });
  const left = stub.admit(request("a".repeat(4000), 5), 0);
  stub.advance(stub.nextAt ?? 0);
  stub.advance(stub.nextAt ?? 0);
  stub.leave(left);
  stub.advance(stub.nextAt ?? 0);
  expect(stub.active).toBe(0);
  expect(stub.heldTokens(0)).toBe(300);
  expect(left.decoded).toBe(0);
});

test("whatever comes, every request gets exactly its tokens, and no more run than there are slots", () => {
  const arrivals = fc.array(
    fc.record({
      at: fc.nat(2000),
      bytes: fc.integer({ min: 1, max: 3000 }),
      tokens: fc.integer({ min: 1, max: 20 }),
      who: fc.nat(3),
    }),
    {
      minLength: 1,
      maxLength: 20,
    },
  );
  fc.assert(
    fc.property(arrivals, fc.integer({ min: 1, max: 4 }), (list, slots) => {
      const stub = engine({ slots, hostCacheTokens: 500 });
      const jobs: Job[] = [];
      const counts = new Map<Job, number>();
      const until = (time: number): void => {
        for (let at = stub.nextAt; at !== null && at <= time; at = stub.nextAt) {
          for (const job of stub.advance(at)) counts.set(job, (counts.get(job) ?? 0) + 1);
          expect(stub.active).toBeLessThanOrEqual(slots);
        }
      };
      for (const { at, bytes, tokens, who } of list.toSorted((a, b) => a.at - b.at)) {
        until(at);
        jobs.push(stub.admit(request(String(who).repeat(bytes), tokens), at));
      }
      until(Number.POSITIVE_INFINITY);
      expect(jobs.map((job) => counts.get(job))).toEqual(jobs.map((job) => job.request.outputTokens));
    }),
    { numRuns: 50 },
  );
});
