import { expect, test } from "vitest";
import { phasesOf } from "../../../src/inference/attempt-spans.ts";

const moments = {
  startedAt: 0,
  loadingAt: null,
  leasedAt: 10,
  firstTokenAt: null,
  endedAt: 100,
  decodeMs: null,
  generates: true,
};
const shown = (changes: Partial<Parameters<typeof phasesOf>[0]>): string[] =>
  phasesOf({ ...moments, ...changes }).map(({ name, from, to }) => `${name} ${from}-${to}`);

test.each([
  ["a stream", { firstTokenAt: 40 }, ["queue 0-10", "prefill 10-40", "decode 40-100"]],
  [
    "a wait for a start",
    { loadingAt: 2, firstTokenAt: 40 },
    ["queue 0-2", "load 2-10", "prefill 10-40", "decode 40-100"],
  ],
  ["an answer in one piece whose engine was timed", { decodeMs: 70 }, ["queue 0-10", "prefill 10-30", "decode 30-100"]],
  ["an answer in one piece of which nothing is known", {}, ["queue 0-10"]],
  ["an embedding", { generates: false }, ["queue 0-10", "prefill 10-100"]],
  ["a call that never had a slot", { leasedAt: null }, ["queue 0-100"]],
  ["a start that failed", { leasedAt: null, loadingAt: 5 }, ["queue 0-5", "load 5-100"]],
])("the phases of %s", (_, changes, expected) => {
  expect(shown(changes)).toEqual(expected);
});
