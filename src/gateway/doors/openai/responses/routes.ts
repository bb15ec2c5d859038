import { Readable } from "node:stream";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { JsonObject } from "../../../../core/inference.ts";
import { type Body, invalid } from "../../../canonical/rules.ts";
import { described } from "./describe.ts";
import { numberOf, pageOf } from "./page.ts";
import { isPending, type Responses, responseNotFound } from "./stored.ts";

/** Stored responses: one, its stream, its input items; cancel and delete. A tenant sees only its own. */
export function registerResponseRoutes(app: FastifyInstance, responses: Responses): void {
  const found = async (request: FastifyRequest): Promise<JsonObject> => {
    const { tenant, id } = asked(request);
    const stored = await responses.find(tenant, id);
    if (stored === null) throw responseNotFound(id);
    return stored.response;
  };
  for (const prefix of ["", "/v1"]) {
    app.get(`${prefix}/responses/:id`, { config: { describe: described.get } }, async (request, reply) => {
      const { stream, starting_after: after } = request.query as Body;
      if (stream !== "true") return await found(request);
      const events = await eventsOf(responses, request, numberOf("starting_after", after, -1));
      return await reply.type("text/event-stream").header("Cache-Control", "no-cache").send(Readable.from(events));
    });
    app.get(`${prefix}/responses/:id/input_items`, { config: { describe: described.inputItems } }, async (request) => {
      const { tenant, id } = asked(request);
      const items = await responses.inputOf(tenant, id);
      if (items === null) throw responseNotFound(id);
      return pageOf(items, request.query as Body);
    });
    app.post(`${prefix}/responses/:id/cancel`, { config: { describe: described.cancel } }, async (request) => {
      const { tenant, id } = asked(request);
      const before = await responses.find(tenant, id);
      if (before !== null && isPending(before)) await responses.cancel(tenant, id);
      const response = await found(request);
      if (response["status"] === "cancelled") return response;
      throw invalid("response_id", `The response "${id}" cannot be cancelled: ${whyNot(response)}.`);
    });
    app.delete(`${prefix}/responses/:id`, { config: { describe: described.delete } }, async (request) => {
      const { tenant, id } = asked(request);
      if (!(await responses.delete(tenant, id))) throw responseNotFound(id);
      return { id, object: "response", deleted: true };
    });
  }
}

const whyNot = ({ background, status }: JsonObject): string =>
  background === true ? `it is ${String(status)}` : 'it was not made with "background"; close its connection';

const asked = ({ params, identity }: FastifyRequest): { readonly tenant: string; readonly id: string } => ({
  tenant: identity.caller.tenant,
  id: (params as { readonly id: string }).id,
});

/** Events of a response's stream after the given number, including future ones. */
async function eventsOf(
  responses: Responses,
  request: FastifyRequest,
  after: number,
): Promise<AsyncIterable<string> | Iterable<string>> {
  const { tenant, id } = asked(request);
  const stored = await responses.find(tenant, id);
  if (stored === null) throw responseNotFound(id);
  const { events } = stored;
  if (events === null)
    throw invalid("stream", `The response "${id}" has no stream: it was not created with "background" and "stream".`);
  return isPending(stored) ? responses.follow(tenant, id, responses.live(id), after + 1) : events.slice(after + 1);
}
