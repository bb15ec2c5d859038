import Fastify from "fastify";
import { expect, test } from "vitest";
import type { AuditEntry } from "../../../src/api/audit.ts";
import { auditRoutes } from "../../../src/gateway/front/audit.ts";
import { LOCAL } from "../../../src/gateway/front/authorize.ts";

/** What is recorded of a request with this body to a route of the scope. */
async function recorded(
  body: object,
  { scope = "admin", method = "POST" }: { scope?: "admin" | "inference"; method?: "POST" | "GET" } = {},
): Promise<AuditEntry[]> {
  const entries: AuditEntry[] = [];
  const app = Fastify();
  app.decorateRequest("identity");
  app.addHook("onRequest", async (request) => {
    request.identity = LOCAL;
  });
  auditRoutes(app, { audit: (entry) => entries.push(entry), isLocal: () => true });
  app.route({ method, url: "/pulls", config: { scope }, handler: async (_, reply) => reply.code(202).send({}) });
  await app.inject({ method, url: "/pulls", ...(method === "GET" ? {} : { payload: body }) });
  await app.close();
  return entries;
}

test("a change is recorded by route and target, without credentials, signatures and other fields", async () => {
  const body = { reference: "https://me:secret@host/model.gguf?token=secret#secret", prompt: "secret" };
  const entries = await recorded(body);
  expect(entries).toEqual([
    expect.objectContaining({
      actor: "local",
      via: "socket",
      action: "POST /pulls",
      target: "https://host/model.gguf",
      status: 202,
    }),
  ]);
  expect(JSON.stringify(entries)).not.toContain("secret");
});

test("neither reading nor using models is recorded", async () => {
  expect(await recorded({}, { method: "GET" })).toEqual([]);
  expect(await recorded({ model: "river" }, { scope: "inference" })).toEqual([]);
});
