import { createHash } from "node:crypto";
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { PullPort } from "../../src/gateway/ports.ts";
import type { Library } from "../../src/registry/library.ts";
import type { Registry } from "../../src/registry/registry.ts";
import { type TestGateway, testGateway } from "../support/gateway.ts";

interface Document {
  readonly openapi: string;
  readonly paths: Record<string, Record<string, { readonly summary?: string; readonly operationId: string }>>;
  readonly components: { readonly schemas: Record<string, object> };
}

let gateway: TestGateway;
let api: Document;
beforeAll(async () => {
  gateway = await testGateway(() => {}, { registry: {} as Registry, pulls: {} as PullPort, library: {} as Library });
  api = (await (await fetch(`${gateway.url}/openapi.json`)).json()) as Document;
});
afterAll(async () => await gateway[Symbol.asyncDispose]());

test("every route of the daemon is described", () => {
  const described = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const routes = gateway.gateway.routes.table.rows().filter(({ method }) => method !== "HEAD");
  expect(described).toHaveLength(routes.length);
  const silent = routes.filter(({ entry }) => entry.describe === null).map(({ method, path }) => `${method} ${path}`);
  expect(silent, "routes without `describe`").toEqual([]);
});

test("the description is made once", async () => {
  const rows = vi.spyOn(gateway.gateway.routes.table, "rows");
  expect(await (await fetch(`${gateway.url}/openapi.json`)).json()).toEqual(api);
  expect(rows).not.toHaveBeenCalled();
  rows.mockRestore();
});

test("operations have ids of their own, and schemas are JSON Schema", () => {
  const ids = Object.values(api.paths).flatMap((methods) => Object.values(methods).map((each) => each.operationId));
  expect(new Set(ids).size).toBe(ids.length);
  expect(api.openapi).toBe("3.1.0");
  const ajv = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false, formats: { binary: true } });
  for (const schema of Object.values(api.components.schemas)) ajv.compile(schema);
});

const html = { accept: "text/html,application/xhtml+xml" };

test("a browser is shown the models and how to connect, by a page without scripts", async () => {
  const answer = await fetch(`${gateway.url}/`, { headers: html });
  const page = await answer.text();
  expect(page).toContain("<code>river</code> <code>stream-chat</code>");
  expect(page).toContain(`OPENAI_BASE_URL=${gateway.url}/v1`);
  expect(page).not.toContain("<script");
  expect(answer.headers.get("content-security-policy")).toMatch(/default-src 'none'(?!.*script-src)/);
  expect(await (await fetch(`${gateway.url}/`)).text()).toBe("Ollama is running");
});

test("where keys are configured, the page shows the models of the key alone", async () => {
  const sha256 = createHash("sha256").update("secret").digest("hex");
  gateway.settings.apiKeys = [{ name: "me", sha256, models: ["vectors"] }];
  try {
    const anonymous = await (await fetch(`${gateway.url}/`, { headers: html })).text();
    expect(anonymous).toContain("This page requires an API key");
    expect(anonymous).not.toContain("river");
    const known = await (await fetch(`${gateway.url}/`, { headers: { ...html, "x-api-key": "secret" } })).text();
    expect(known).toContain("<code>vectors</code>");
    expect(known).not.toMatch(/river|secret/);
  } finally {
    gateway.settings.apiKeys = [];
  }
});

test.each(["/docs", "/redoc"])("%s loads what it needs from the daemon itself", async (path) => {
  const page = await fetch(gateway.url + path);
  expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
  const text = await page.text();
  expect(text).not.toMatch(/https?:/);
  const assets = [...text.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, asset]) => asset as string);
  expect(assets.length).toBeGreaterThan(0);
  for (const asset of assets) {
    const loaded = await fetch(gateway.url + asset);
    expect([loaded.status, (await loaded.text()) !== ""], asset).toEqual([200, true]);
  }
});

test("a file that no page needs is not there", async () => {
  for (const name of ["index.html", "..%2Fpackage.json", "constructor"])
    expect((await fetch(`${gateway.url}/docs/assets/${name}`)).status, name).toBe(404);
});
