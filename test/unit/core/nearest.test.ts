import { expect, it } from "vitest";
import { nearestNames } from "../../../src/core/nearest.ts";

it("finds what was probably meant, best first", () => {
  expect(nearestNames("smolm2", ["qwen3", "smollm2", "smollm2-135m"])).toEqual(["smollm2"]);
  expect(nearestNames("zzzzzz", ["qwen3", "smollm2"])).toEqual([]);
});

it("compares nothing with a text that is no name, which would take seconds", () => {
  expect(nearestNames("smollm2".repeat(1_000_000), ["smollm2"])).toEqual([]);
  expect(nearestNames("smollm2", ["smollm2".repeat(1_000_000)])).toEqual([]);
});
