import { expect, test } from "vitest";
import { usageText } from "../../../src/ui/usage-text.ts";

const since = Date.UTC(2026, 0, 2, 3, 4, 5);

test("usage is a table with the sum below it", () => {
  const row = { requests: 12, failed: 1, promptTokens: 1000, cachedTokens: 400, completionTokens: 34 };
  const usage = [
    { tenant: "anna", model: "river", ...row },
    { tenant: "local", model: "", requests: 1, failed: 1, promptTokens: 0, cachedTokens: 0, completionTokens: 0 },
  ];
  expect(usageText({ since, usage })).toEqual([
    "KEY    MODEL  REQUESTS  FAILED  PROMPT TOKENS  CACHED  COMPLETION TOKENS",
    "anna   river  12        1       1000           400     34",
    "local  -      1         1       0              0       0",
    "Since 2026-01-02 03:04 UTC: 13 requests, 1034 tokens.",
  ]);
});

test("without requests it says since when there were none", () => {
  expect(usageText({ since, usage: [] })).toEqual(["Since 2026-01-02 03:04 UTC: no requests."]);
});
