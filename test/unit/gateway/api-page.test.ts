import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { inferenceRoutes } from "../../../src/gateway/openai/routes.ts";

const page = await readFile(fileURLToPath(new URL("../../../docs/api.md", import.meta.url)), "utf8");

test("docs/api.md lists every inference route with and without its prefix", () => {
  for (const path of inferenceRoutes.keys()) {
    const listed = path.startsWith("/v1/") ? path : `/v1${path}`;
    expect(page).toContain(`\`POST ${listed}\``);
    // "All of them answer without /v1 too": the other half must exist.
    expect([...inferenceRoutes.keys()]).toEqual(expect.arrayContaining([listed, listed.slice("/v1".length)]));
  }
});

test.each([
  "x-request-id",
  "x-assistant-model",
  "x-assistant-instance",
  "x-assistant-queue-ms",
  "x-assistant-queue-place",
  "x-assistant-expected-start-ms",
  "x-assistant-priority",
  "x-assistant-timeout-ms",
  "x-request-timeout",
  "x-stainless-timeout",
])("docs/api.md explains %s", (header) => {
  expect(page).toContain(`\`${header}\``);
});
