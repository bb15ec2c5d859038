import { expect, test } from "vitest";
import { BoundedNames } from "../../../src/telemetry/bounded-names.ts";

test("names are told apart up to a number, and those known stay so", () => {
  const names = new BoundedNames();
  const found = new Set(Array.from({ length: 10_000 }, (_, index) => names.of(`worker-${index}`)));
  expect(found.size).toBe(2_001);
  expect(names.of("worker-0")).toBe("worker-0");
  expect(names.of("worker-9999")).toBe("other");
});
