import { expect, test } from "vitest";
import { describeWait } from "../../../../../commands/support/run/answer.ts";
import { timingLines } from "../../../../../commands/support/run/timings.ts";
import { fakeInstance, fakeModel, fakeStatus } from "../../../../fakes/status.ts";

test("counts and rates; the rate of the prompt leaves cached tokens out", () => {
  const lines = timingLines(
    { promptTokens: 120, cachedTokens: 20, completionTokens: 50, promptMs: 500, completionMs: 1000 },
    { totalMs: 1600, firstTextMs: 520 },
  );
  expect(lines).toContain("prompt cached count:  20 tokens");
  expect(lines).toContain("prompt eval rate:     200.00 tokens/s");
  expect(lines).toContain("eval rate:            50.00 tokens/s");
  expect(lines).toContain("total duration:       1.60 s");
  expect(lines).toContain("time to first token:  520.0 ms");
});

test("what the engine did not tell is left out", () => {
  const lines = timingLines(
    { promptTokens: null, cachedTokens: null, completionTokens: null, promptMs: null, completionMs: null },
    { totalMs: 5, firstTextMs: null },
  );
  expect(lines).toEqual(["total duration:       5.0 ms"]);
});

test("says what a request waits for", () => {
  const starting = fakeStatus({ instances: [fakeInstance({ state: "starting" })] });
  expect(describeWait(starting, "default")).toBe("loading default");
  expect(describeWait(fakeStatus({ instances: [] }), "smollm2")).toBe("waiting for smollm2");
  expect(describeWait(fakeStatus({ models: [fakeModel({ queued: 5 })] }), "smollm2")).toBe(
    "smollm2: 5 requests in the queue",
  );
  expect(describeWait(fakeStatus(), "smollm2")).toBe("smollm2 is processing the prompt");
});
