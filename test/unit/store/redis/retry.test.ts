import { expect, test } from "vitest";
import { reconnecting } from "../../../../src/store/redis/retry.ts";

test("waits grow while connections break right after the handshake, and begin anew after one that lasted", () => {
  let now = 0;
  const wait = reconnecting(() => now);
  const brief = Array.from({ length: 12 }, () => {
    const waitMs = wait(1);
    now += waitMs + 5;
    return waitMs;
  });
  expect(brief[0]).toBeLessThan(130);
  expect(brief.at(-1)).toBeGreaterThanOrEqual(5_000);
  now += 60_000;
  expect(wait(1)).toBeLessThan(130);
});
