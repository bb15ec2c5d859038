import { afterEach, expect, test, vi } from "vitest";
import { requestHeaders } from "../../../src/api/headers.ts";
import { steadyClock } from "../../../src/core/clock.ts";
import { callHeaders } from "../../../src/gateway/front/call-headers.ts";

afterEach(() => void vi.restoreAllMocks());

test.each([-1, 1])("the machine's clock may be set by a day times %i: what is waited for takes its time", (days) => {
  const before = steadyClock.now();
  const set = Date.now() + days * 86_400_000;
  vi.spyOn(Date, "now").mockReturnValue(set);
  const { deadlineAt } = callHeaders({ [requestHeaders.timeoutMs]: "3600000" }, true, undefined);
  const left = (deadlineAt ?? 0) - before;
  expect(left).toBeGreaterThanOrEqual(3_600_000);
  expect(left).toBeLessThan(2 * 3_600_000);
});
