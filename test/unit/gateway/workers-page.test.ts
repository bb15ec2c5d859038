import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import Fastify from "fastify";
import { expect, test } from "vitest";
import { workerFrameworkDoor } from "../../../src/gateway/doors/worker-framework/door.ts";

test("docs/api.md lists every route of workers", async () => {
  const page = await readFile(fileURLToPath(new URL("../../../docs/api.md", import.meta.url)), "utf8");
  const door = workerFrameworkDoor({} as Parameters<typeof workerFrameworkDoor>[0]);
  const routes = door.inference.map(({ path }) => `POST ${path}`);
  const app = Fastify();
  app.addHook("onRoute", ({ method, url }) => {
    for (const each of [method].flat()) if (each !== "HEAD") routes.push(`${each} ${url}`);
  });
  door.register?.(app);
  expect(routes).toHaveLength(10);
  for (const route of routes) expect(page).toContain(`\`${route}\``);
});
