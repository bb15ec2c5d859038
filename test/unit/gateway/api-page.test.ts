import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { inferenceRoutes } from "../../../src/gateway/doors/openai/door.ts";

const page = await readFile(fileURLToPath(new URL("../../../docs/api.md", import.meta.url)), "utf8");

test("docs/api.md lists every inference route with and without its prefix", () => {
  const paths = inferenceRoutes.map(({ path }) => path);
  for (const path of paths) {
    const listed = path.startsWith("/v1/") ? path : `/v1${path}`;
    expect(page).toContain(`\`POST ${listed}\``);
    // "All of them answer without /v1 too": the other half must exist.
    expect(paths).toEqual(expect.arrayContaining([listed, listed.slice("/v1".length)]));
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
