import type { FastifyReply, FastifyRequest } from "fastify";
import type { CapabilityQuery } from "../../../core/capability-query.ts";
import { AssistantError } from "../../../core/errors.ts";
import type { Capabilities } from "../../../core/model.ts";
import { Type } from "../../../core/schema.ts";
import { type ModelDirectory, mayUse, modelsFor } from "../../../inference/resolve.ts";
import type { Objects } from "../../../objects/objects.ts";
import { hostOf, isGrpc, type Registration } from "../../../replicas/registration.ts";
import type { Held, Replicas } from "../../../replicas/replicas.ts";
import { requireAllowedHost } from "../../../workers/endpoint.ts";
import { checkedBody } from "../../front/checked-body.ts";
import type { Door } from "../../front/door.ts";
import { bearerDoor } from "../../front/error-body.ts";
import { capabilitiesOf } from "../../front/selector.ts";
import { registerObjectRoutes } from "./objects.ts";

export interface ReplicasDoorOptions {
  readonly replicas: Replicas;
  readonly objects: Objects;
  readonly directory: ModelDirectory;
  /** Hosts allowed for replicas, in addition to loopback addresses registered by programs of this machine. */
  readonly allowedHosts: () => readonly string[];
  /** From this machine: over the Unix socket, or over loopback without a proxy. */
  readonly isLocal: (request: FastifyRequest) => boolean;
  /** This daemon as a replica: its id, and the address of its models. */
  readonly self: () => { readonly replicaId: string; readonly endpoint: string; readonly url: string | null };
}

/** Interval of the events on the stream that keeps a registration alive. */
const ALIVE_EVERY_MS = 5_000;
const DEFAULT_SLOTS = 10;

const text = (maxLength: number) => Type.String({ minLength: 1, maxLength, required: true });
const RegistrationBody = Type.Object({
  replica_id: text(200),
  endpoint: text(2000),
  capabilities: Type.Array(Type.Unsafe<Record<string, string | number | boolean>>({ type: "object" }), {
    required: true,
  }),
  slots: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 100_000, description: "Concurrent requests; default: 10." }),
  ),
});
const Departure = Type.Object({ replica_id: text(200) });

/**
 * Makes the daemon send requests to an address: for keys with the scope `admin`, and without keys for programs of this
 * machine.
 */
const admin = (summary: string) => ({
  config: { scope: "admin" as const, announced: true, openOnLoopback: true, describe: { summary } },
});
const open = (summary: string) => ({ config: { describe: { summary } } });

/** The replicas, their capabilities and addresses. */
export const replicasDoor = ({
  replicas,
  objects,
  directory,
  self,
  allowedHosts,
  isLocal,
}: ReplicasDoorOptions): Door => ({
  ...bearerDoor,
  name: "replicas",
  register(app) {
    registerObjectRoutes(app, objects);
    app.get("/route", open("Find a replica by the capabilities of the query"), async (request) => {
      const { query, exclude } = routeQuery(request);
      const { caller } = request.identity;
      const { replicaId, endpoint, url } = self();
      const found = replicas.route(query, exclude);
      if (found !== null) return { endpoint: found.endpoint, replica_id: found.replicaId };
      const [ours] = directory.offers?.().find(query, (model) => mayUse(caller, model)) ?? [];
      if (ours !== undefined && !exclude.includes(replicaId)) {
        // Clients that only use HTTP go there.
        const http = url === null ? {} : { http_endpoint: url };
        return { endpoint, replica_id: replicaId, ...http };
      }
      throw new AssistantError("capability_not_found", "no matching replica", { param: "query" });
    });
    app.get("/registry", open("List the replicas"), async ({ identity: { caller } }) => {
      const { replicaId, endpoint } = self();
      const registered = replicas.list().filter((each) => isGrpc(each.endpoint));
      const known = new Set(registered.flatMap(({ capabilities }) => capabilities.map(asText)));
      // Handlers are listed with their own address if clients may use it, otherwise with ours.
      const ours = modelsFor(caller, directory).map(({ capabilities }) => withoutOperation(capabilities));
      return {
        replicas: [
          { replica_id: replicaId, endpoint, capabilities: ours.filter((each) => !known.has(asText(each))) },
          ...registered.map(shown),
        ],
      };
    });
    app.post(
      "/register",
      admin("Register a replica for as long as the answer's stream is open"),
      async (request, reply) => {
        const { replica_id: replicaId, slots = DEFAULT_SLOTS, ...body } = checkedBody(RegistrationBody, request.body);
        const { endpoint } = body;
        requireAllowedHost(hostOf(endpoint), { isLocal: isLocal(request), allowedHosts: allowedHosts() });
        const capabilities = body.capabilities.map(checkedCapability);
        const held = replicas.register({ replicaId, endpoint, capabilities, slots });
        keepAlive(reply, replicaId, held);
      },
    );
    app.delete("/unregister", admin("Unregister a replica"), async ({ body }) => {
      const { replica_id: replicaId } = checkedBody(Departure, body);
      replicas.unregister(replicaId);
      return { success: true, message: `Unregistered ${replicaId}.` };
    });
  },
});

const asText = (capability: Capabilities): string => JSON.stringify(Object.entries(capability).sort());
const withoutOperation = ({ tensors: _, ...capability }: Capabilities): Capabilities => capability;
const shown = ({ replicaId, endpoint, capabilities }: Registration): object => ({
  replica_id: replicaId,
  endpoint,
  capabilities,
});

function checkedCapability(given: Capabilities, index: number): Capabilities {
  const at = `capabilities[${index}]`;
  if (capabilitiesOf(given, at) !== undefined) return given;
  throw new AssistantError("invalid_request", `"${at}" is empty; expected at least one key.`, { param: at });
}

function routeQuery({ query: given, headers }: FastifyRequest): {
  readonly query: CapabilityQuery;
  readonly exclude: readonly string[];
} {
  const query = capabilitiesOf(given, "query");
  if (query === undefined)
    throw new AssistantError(
      "invalid_request",
      "The query names no capability; expected one, such as /route?type=chat.",
      {
        param: "query",
      },
    );
  const from = headers["x-delegated-from"]?.toString() ?? "";
  return { query, exclude: from.split(",").map((id) => id.trim()) };
}

/** Sends events until the client disconnects, which ends the registration, or the registration ends. */
function keepAlive(reply: FastifyReply, replicaId: string, held: Held): void {
  reply.hijack();
  const { raw } = reply;
  if (raw.destroyed) {
    held.leave();
    return;
  }
  const write = (event: object): void => void raw.write(`data: ${JSON.stringify(event)}\n\n`);
  raw.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no" });
  write({ status: "registered", replica_id: replicaId });
  const timer = setInterval(() => write({ status: "alive" }), ALIVE_EVERY_MS);
  raw.once("close", () => {
    clearInterval(timer);
    held.leave();
  });
  held.ended.add(() => {
    clearInterval(timer);
    raw.end();
  });
}
