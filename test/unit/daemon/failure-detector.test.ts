import { expect, test } from "vitest";
import { FailureDetector } from "../../../src/daemon/failure-detector.ts";

function listen(): { failureDetector: FailureDetector; suspected: string[] } {
  const suspected: string[] = [];
  return { failureDetector: new FailureDetector((id) => suspected.push(id)), suspected };
}

test("three requests in a row without an answer put an engine under suspicion, and each further three again", () => {
  const { failureDetector, suspected } = listen();
  for (let count = 1; count <= 7; count++) {
    failureDetector.ended("a", count % 2 === 0 ? "engine-error" : "cancelled", false);
    failureDetector.ended("b", "complete", true);
    expect(suspected).toEqual(Array(Math.floor(count / 3)).fill("a"));
  }
});

test.each([
  ["complete", true],
  ["cancelled", true],
  ["client-error", false],
] as const)("%s (answered: %s) clears an engine of suspicion", (end, answered) => {
  const { failureDetector, suspected } = listen();
  for (let round = 0; round < 4; round++) {
    failureDetector.ended("a", "engine-error", true);
    failureDetector.ended("a", "engine-error", false);
    failureDetector.ended("a", end, answered);
  }
  expect(suspected).toEqual([]);
});

test("a new process starts without failureDetector", () => {
  const { failureDetector, suspected } = listen();
  failureDetector.ended("a", "engine-error", false);
  failureDetector.ended("a", "engine-error", false);
  failureDetector.forget("a");
  failureDetector.ended("a", "engine-error", false);
  expect(suspected).toEqual([]);
});
