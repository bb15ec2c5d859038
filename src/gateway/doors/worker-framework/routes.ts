import type { FastifyInstance, FastifyRequest } from "fastify";
import { AssistantError } from "../../../core/errors.ts";
import { requireModel } from "../../../inference/resolve.ts";
import { checkEndpoint } from "../../../workers/endpoint.ts";
import type { Workers } from "../../../workers/registry.ts";
import { ownerOf } from "../../front/authorize.ts";
import {
  capabilitiesField,
  fieldsOf,
  formFields,
  historiesField,
  historyField,
  nameField,
  protocolField,
  slotsField,
  textField,
  userField,
  userOrNobody,
} from "./fields.ts";

export interface WorkerRoutesOptions {
  readonly workers: Workers;
  /** Hosts allowed for workers, in addition to loopback. Read for each registration. */
  readonly allowedHosts: () => readonly string[];
  /** From this machine: over the Unix socket, or over loopback without a proxy. */
  readonly isLocal: (request: FastifyRequest) => boolean;
}

const REGISTRATION = {
  type: "object",
  properties: {
    name: { type: "string", description: "The model that the worker serves." },
    endpoint: { type: "string", description: "URL for requests, such as http://127.0.0.1:9001/v1/completion." },
    protocol: { type: "string", enum: ["form"], default: "form" },
    slots: { type: "integer", minimum: 1, default: 1, description: "Requests it works on at once." },
    capabilities: { type: "object", description: "Its capabilities, by name." },
  },
  required: ["name", "endpoint"],
};
const RESERVATION = {
  type: "object",
  properties: { name: { type: "string" }, history_id: { type: "string" }, user_id: { type: "string" } },
  required: ["name", "history_id"],
};

/** Registering workers determines the answers that others get. */
const forWorkers = (summary: string, body: object | null, status = 204) => ({
  config: {
    scope: "worker" as const,
    announced: true,
    openOnLoopback: true,
    describe: { summary, status, answers: {}, ...(body === null ? {} : { body: body as never }) },
  },
});
const forClients = (summary: string, body: object | null, status = 204) => ({
  config: { describe: { summary, status, answers: {}, ...(body === null ? {} : { body: body as never }) } },
});
const listing = (summary: string, type: "object" | "array" = "object") => ({
  config: {
    ...{ scope: "worker" as const, announced: true, openOnLoopback: true },
    describe: { summary, answers: { "application/json": { type } } },
  },
});

/** The routes under `/v1.0` that answer from memory. Bodies are JSON or forms. */
export function registerWorkerRoutes(app: FastifyInstance, options: WorkerRoutesOptions): void {
  const { workers, allowedHosts, isLocal } = options;
  app.addContentTypeParser(
    "application/x-www-form-urlencoded",
    { parseAs: "string" },
    async (_: FastifyRequest, text: string) => formFields(text),
  );

  app.post("/v1.0/worker/register", forWorkers("Register a worker", REGISTRATION, 201), async (request, reply) => {
    const fields = fieldsOf(request.body);
    const endpoint = textField(fields, "endpoint");
    const name = nameField(fields);
    checkEndpoint(endpoint, { isLocal: isLocal(request), allowedHosts: allowedHosts() });
    const registration = { protocol: protocolField(fields), slots: slotsField(fields) };
    await workers.register({ name, endpoint, ...registration, capabilities: capabilitiesField(fields) });
    return await reply.code(201).send();
  });
  app.post("/v1.0/worker/unregister", forWorkers("Unregister a worker", REGISTRATION), async ({ body }, reply) => {
    const { name, endpoint } = fieldsOf(body);
    // A worker that is not registered is already in the desired state.
    if (typeof name === "string" && typeof endpoint === "string") await workers.unregister(name, endpoint);
    return await reply.code(204).send();
  });
  app.post(
    "/v1.0/worker/heartbeat",
    forWorkers("Show that a worker is alive", REGISTRATION),
    async (request, reply) => {
      const fields = fieldsOf(request.body);
      const name = nameField(fields);
      const endpoint = textField(fields, "endpoint");
      if (workers.beat(name, endpoint)) return await reply.code(204).send();
      throw new AssistantError(
        "worker_not_found",
        `No worker is registered as ${JSON.stringify(name)} at ${endpoint}.`,
        {
          remedy: "Register it again.",
        },
      );
    },
  );
  app.post(
    "/v1.0/worker/schedule",
    forClients("Reserve a worker for a chat", RESERVATION, 202),
    async (request, reply) => {
      const fields = fieldsOf(request.body);
      const name = nameField(fields);
      const { caller } = request.identity;
      requireModel(caller, { name, aliases: [] });
      const { tenant } = caller;
      const outcome = workers.schedule({ name, tenant, historyId: historyField(fields), userId: userOrNobody(fields) });
      if (outcome === "reserved") return await reply.code(202).send();
      throw outcome === "busy"
        ? new AssistantError("worker_busy", `BUSY: every worker of ${JSON.stringify(name)} is busy or reserved.`)
        : new AssistantError("worker_unavailable", `NOMACHINE: no worker is registered as ${JSON.stringify(name)}.`);
    },
  );
  app.post("/v1.0/worker/revoke", forClients("Give a reserved worker back", RESERVATION), async (request, reply) => {
    const { name, history_id: historyId, user_id: user } = fieldsOf(request.body);
    const owner = ownerOf(request.identity);
    if (typeof name === "string" && (typeof historyId === "string" || typeof historyId === "number"))
      workers.revoke(name, { historyId, userId: userField({ user_id: user }), owner });
    return await reply.code(204).send();
  });
  app.get("/v1.0/worker/debug", listing("List workers by name, with the state of each"), async () => workers.debug());
  app.get("/v1.0/worker/list", listing("List the names of workers", "array"), async () => workers.names());
  app.post("/v1.0/chat/abort", forClients("Abort chats of workers", RESERVATION), async (request, reply) => {
    const fields = fieldsOf(request.body);
    const asked = { userId: userField(fields), owner: ownerOf(request.identity) };
    await workers.abort(historiesField(fields).map((historyId) => ({ historyId, ...asked })));
    return await reply.code(204).send();
  });
  app.get("/v1.0/workers", listing("List workers, with their settings"), async () => ({ workers: workers.list() }));
}
