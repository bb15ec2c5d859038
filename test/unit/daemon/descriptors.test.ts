import { expect, test } from "vitest";
import { maxConnections } from "../../../src/daemon/descriptors.ts";

test("connections leave descriptors for engines, logs and files, two for each request", () => {
  expect(maxConnections(1024)).toBe(416);
  expect(maxConnections(64)).toBe(16);
  expect(maxConnections(null)).toBeNull();
  expect(maxConnections()).toBeGreaterThan(16);
});
