import type { FastifyInstance } from "fastify";
import { rememberedKey } from "../front/keys.ts";
import { requireScope } from "../front/rights.ts";
import type { ControlPort } from "../ports.ts";

/** The version that every Prometheus reads. */
const TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8";
const METRICS = "/metrics";

/** `/metrics`, and the check of what the key may do for every route of the app but `/health`. */
export function registerMonitorRoutes(app: FastifyInstance, control: Pick<ControlPort, "metrics">): void {
  // By the route that was found, not by the path that was written: a router reads escapes that a comparison would not.
  app.addHook("onRequest", async (request) => requireScope(rememberedKey(request.raw), request.routeOptions.url === METRICS ? "metrics" : "inference"));
  app.get(METRICS, async (_, reply) => await reply.type(TEXT_FORMAT).send(await control.metrics()));
}
