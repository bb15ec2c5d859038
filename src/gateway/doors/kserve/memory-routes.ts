import type { FastifyInstance, FastifyRequest } from "fastify";
import { flag } from "../../../config/schema/kit.ts";
import { Type } from "../../../core/schema.ts";
import { checkedBody } from "../../front/checked-body.ts";
import { whileConnected } from "../../front/disconnect.ts";
import { readJson } from "../../front/json-body.ts";
import { routeNotFound } from "../../front/table.ts";
import type { KserveModels } from "./models.ts";
import { namedBy } from "./request.ts";

const IndexBody = Type.Object({ ready: flag("Only models that are ready.") });
/** Parameters that Triton's clients send, of which no others are supported. */
const ActBody = Type.Object({
  parameters: Type.Object({ unload_dependents: flag("Has no effect: no model depends on another.") }),
});

/** For health probes: needs no key. */
const open = { config: { scope: null } } as const;
const admin = { config: { scope: "admin", announced: true } } as const;

/** Metadata, health, and the model repository. */
export function registerMemoryRoutes(app: FastifyInstance, models: KserveModels): void {
  // Triton's clients send JSON without a content type, or nothing.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, readJson);

  app.get("/v2", async () => models.server());
  app.get("/v2/health/live", open, async () => ({ live: true }));
  app.get("/v2/health/ready", open, async (_, reply) => {
    const ready = models.isReady();
    return await reply.code(ready ? 200 : 503).send({ ready });
  });
  app.get("/v2/models", async ({ identity }) => {
    const index = await models.index(identity.caller, { readyOnly: false });
    return { models: index.map(({ name }) => name) };
  });
  app.get("/v2/models/*", async (request, reply) => {
    const { caller } = request.identity;
    const rest = restOf(request);
    if (!rest.endsWith("/ready")) return models.metadata(caller, namedBy(rest));
    const named = namedBy(rest.slice(0, -"/ready".length));
    const ready = await models.isModelReady(caller, named);
    return await reply.code(ready ? 200 : 503).send({ name: named.model, ready });
  });
  app.post("/v2/repository/index", async (request) => {
    const { ready = false } = checkedBody(IndexBody, request.body ?? {});
    return await models.index(request.identity.caller, { readyOnly: ready });
  });
  app.post("/v2/repository/models/*", admin, async (request, reply) => {
    const [, name, action] = /^(.+)\/(load|unload)$/.exec(restOf(request)) ?? [];
    if (name === undefined) throw routeNotFound(request.url);
    checkedBody(ActBody, request.body ?? {});
    await whileConnected(request.raw, (signal) =>
      models.act(request.identity.caller, name, action as "load" | "unload", signal),
    );
    return await reply.code(200).send({});
  });
}

const restOf = ({ params }: FastifyRequest): string => (params as { readonly "*": string })["*"];
