import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import Fastify from "fastify";
import { expect, test } from "vitest";
import { inferenceRoutes as anthropicRoutes } from "../../../src/gateway/doors/anthropic/door.ts";
import { apiV1Door } from "../../../src/gateway/doors/api-v1/door.ts";
import { kserveDoor } from "../../../src/gateway/doors/kserve/door.ts";
import { inferenceRoutes as llamaCppRoutes } from "../../../src/gateway/doors/llamacpp/door.ts";
import { inferenceRoutes } from "../../../src/gateway/doors/openai/door.ts";

const page = await readFile(fileURLToPath(new URL("../../../docs/api.md", import.meta.url)), "utf8");

test("docs/api.md lists every inference route with and without its prefix", () => {
  const paths = inferenceRoutes({} as Parameters<typeof inferenceRoutes>[0]).map(({ path }) => path);
  for (const path of paths) {
    const listed = path.startsWith("/v1/") ? path : `/v1${path}`;
    expect(page).toContain(`\`POST ${listed}\``);
    // "All of them answer without /v1 too": the other half must exist.
    expect(paths).toEqual(expect.arrayContaining([listed, listed.slice("/v1".length)]));
  }
});

test("docs/api.md lists every inference route of llama-server", () => {
  const paths = llamaCppRoutes.map(({ name }) => name);
  for (const path of paths) expect(page).toContain(`\`POST ${path}\``);
});

test("docs/api.md lists every route of Anthropic's API", () => {
  expect(anthropicRoutes).toHaveLength(2);
  for (const { path } of anthropicRoutes) expect(page).toContain(`\`POST ${path}\``);
});

test("docs/api.md lists every route of /api/v1", async () => {
  const app = Fastify();
  const routes: string[] = [];
  app.addHook("onRoute", ({ method, url }) => {
    for (const each of [method].flat()) if (each !== "HEAD") routes.push(`${each} ${url}`);
  });
  apiV1Door({} as Parameters<typeof apiV1Door>[0]).register?.(app);
  expect(routes).toHaveLength(39);
  for (const route of routes) {
    const [method, path = ""] = route
      .replace("*", "{name}")
      .replace(":preset", "{preset}")
      .replace(":id", "{id}")
      .split(" ");
    const listed = path.endsWith("/unload") ? "/unload" : path;
    expect(page, route).toMatch(new RegExp(`\\x60(?:${method} )?${listed.replace(/[{}/]/g, "\\$&")}\\x60`));
  }
});

test("docs/kserve.md lists every route of the protocol", async () => {
  const text = await readFile(fileURLToPath(new URL("../../../docs/kserve.md", import.meta.url)), "utf8");
  const door = kserveDoor({} as Parameters<typeof kserveDoor>[0]);
  const app = Fastify();
  const routes = door.inference.map(({ path }) => `POST ${path}`);
  app.addHook("onRoute", ({ method, url }) => {
    for (const each of [method].flat()) if (each !== "HEAD") routes.push(`${each} ${url}`);
  });
  door.register?.(app);
  expect(routes).toHaveLength(14);
  for (const route of routes) expect(text).toContain(`\`${route.replace("*", "{name}")}`);
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
