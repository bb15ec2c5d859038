import { expect, test } from "vitest";
import { Complaints } from "../../../src/daemon/complaints.ts";

function listen(): { complaints: Complaints; suspected: string[] } {
  const suspected: string[] = [];
  return { complaints: new Complaints((id) => suspected.push(id)), suspected };
}

test("three requests in a row without an answer put an engine under suspicion, and each further three again", () => {
  const { complaints, suspected } = listen();
  for (let count = 1; count <= 7; count++) {
    complaints.ended("a", count % 2 === 0 ? "engine-error" : "cancelled", false);
    complaints.ended("b", "complete", true);
    expect(suspected).toEqual(Array(Math.floor(count / 3)).fill("a"));
  }
});

test.each([
  ["complete", true],
  ["cancelled", true],
  ["client-error", false],
] as const)("%s (answered: %s) clears an engine of suspicion", (end, answered) => {
  const { complaints, suspected } = listen();
  for (let round = 0; round < 4; round++) {
    complaints.ended("a", "engine-error", true);
    complaints.ended("a", "engine-error", false);
    complaints.ended("a", end, answered);
  }
  expect(suspected).toEqual([]);
});

test("a new process starts without complaints", () => {
  const { complaints, suspected } = listen();
  complaints.ended("a", "engine-error", false);
  complaints.ended("a", "engine-error", false);
  complaints.forget("a");
  complaints.ended("a", "engine-error", false);
  expect(suspected).toEqual([]);
});
