import { expect, test } from "vitest";
import {
  fastest,
  fitDecode,
  fitLinear,
  fitMixed,
  fitPrefill,
  fitTokens,
  relativeErrors,
} from "../../../bench/stub/fit.ts";
import { pairsOf, stepMs } from "../../../bench/stub/time.ts";

const rates = {
  prefillTokensPerSecond: 250,
  prefillPairMs: 0.0005,
  promptBaseMs: 12,
  decodeBaseMs: 7,
  decodeEachMs: 4,
  decodeKvMsPerToken: 0.003,
};
const prefill = (before: number, tokens: number) => ({
  before,
  tokens,
  ms: stepMs(rates, { prefillTokens: tokens, prefillPairs: pairsOf(before, tokens), prompts: 1, decoding: 0 }),
});
const decode = (active: number, kvTokens: number) => ({
  active,
  kvTokens,
  ms: stepMs(rates, { prefillTokens: 0, decoding: active, kvTokens }),
});

test("the parameters that made the samples are found again", () => {
  const found = {
    ...fitPrefill([prefill(0, 30), prefill(0, 400), prefill(0, 1200), prefill(400, 100), prefill(1200, 300)]),
    ...fitDecode([decode(1, 50), decode(2, 100), decode(4, 200), decode(1, 800), decode(4, 3200)]),
  };
  for (const [name, value] of Object.entries(rates))
    expect(found[name as keyof typeof found] / value, name).toBeCloseTo(1, 6);
});

test("what cannot be below nothing is not", () => {
  const [base, slope] = fitLinear(
    [
      [1, 1],
      [1, 2],
      [1, 3],
    ],
    [1, 3, 5],
  );
  expect(base).toBe(0);
  expect(slope).toBeGreaterThan(1);
});

test("too few samples are refused", () => {
  expect(() => fitLinear([[1, 2, 3]], [1])).toThrow("1 samples are too few for 3 parameters");
});

test("bytes and the template's tokens are told apart", () => {
  expect(fitTokens([100, 500, 2000].map((bytes) => ({ bytes, tokens: 24 + bytes / 5 })))).toEqual({
    bytesPerToken: expect.closeTo(5, 6),
    templateTokens: 24,
  });
});

test("the share of decoding that a prompt waits for is found, and lies between 0 and 1", () => {
  const steps = 10;
  const beside = (share: number) => {
    const alone = prefill(0, 620);
    return { ...alone, ms: alone.ms + share * steps * decode(2, 300).ms, active: 2, kvTokens: 300, batchTokens: 64 };
  };
  expect(fitMixed([beside(0.4), beside(0.4), beside(3)], rates)).toBeCloseTo(0.4, 6);
  expect(fitMixed([beside(-0.2)], rates)).toBe(0);
});

test("errors are relative to the real engine", () => {
  expect(
    relativeErrors([
      { real: 100, stub: 110 },
      { real: 100, stub: 100 },
      { real: 200, stub: 100 },
    ]),
  ).toEqual({ median: expect.closeTo(0.1, 9), p90: 0.5 });
});

test("of every sample the round counts in which nothing else held the machine up", () => {
  const at = (what: string, ms: number) => ({ what, ms });
  expect(fastest([at("a", 10), at("b", 90), at("a", 30), at("b", 20), at("a", 11), at("b", 25)], 3)).toEqual([
    at("a", 10),
    at("b", 20),
  ]);
});
