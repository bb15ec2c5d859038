import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type TestGateway, testGateway } from "../support/gateway.ts";

interface Document {
  readonly openapi: string;
  readonly paths: Record<string, Record<string, { readonly summary?: string; readonly operationId: string }>>;
  readonly components: { readonly schemas: Record<string, object> };
}

let gateway: TestGateway;
let api: Document;
beforeAll(async () => {
  gateway = await testGateway(() => {});
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

test("operations have ids of their own, and schemas are JSON Schema", () => {
  const ids = Object.values(api.paths).flatMap((methods) => Object.values(methods).map((each) => each.operationId));
  expect(new Set(ids).size).toBe(ids.length);
  expect(api.openapi).toBe("3.1.0");
  const ajv = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false, formats: { binary: true } });
  for (const schema of Object.values(api.components.schemas)) ajv.compile(schema);
});
