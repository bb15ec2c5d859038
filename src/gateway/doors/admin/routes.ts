import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import { NodesReport } from "../../../api/nodes.ts";
import { adminRoutes } from "../../../api/routes.ts";
import { DaemonStatus, InstanceAction } from "../../../api/status.ts";
import { UsageReport } from "../../../api/usage.ts";
import { Type } from "../../../core/schema.ts";
import type { Door } from "../../front/door.ts";
import { bearerDoor } from "../../front/error-body.ts";
import type { ControlPort, PullPort } from "../../ports.ts";
import { registerPullRoutes } from "./pulls.ts";

const ModelAction = Type.Object({
  action: Type.Union([Type.Literal("load"), Type.Literal("unload"), Type.Literal("restart")]),
});
const Shutdown = Type.Object({ now: Type.Optional(Type.Boolean()) });
const Named = Type.Object({ name: Type.String() });
const accepted = { accepted: true } as const;

/** The admin API: for keys with the scope `admin`, and on the Unix socket. */
export const adminDoor = (
  control: ControlPort,
  pulls: PullPort | null,
  orderOf: Parameters<typeof registerPullRoutes>[2],
): Door => ({
  ...bearerDoor,
  name: "admin",
  scope: "admin",
  register: (app) => {
    registerRoutes(app, control);
    if (pulls !== null) registerPullRoutes(app, pulls, orderOf);
  },
});

function registerRoutes(instance: FastifyInstance, control: ControlPort): void {
  const app = instance.withTypeProvider<TypeBoxTypeProvider>();
  app.get(adminRoutes.status, { schema: { response: { 200: DaemonStatus } } }, async () => await control.status());
  app.get(adminRoutes.nodes, { schema: { response: { 200: NodesReport } } }, async () => control.nodes());
  app.get(adminRoutes.usage, { schema: { response: { 200: UsageReport } } }, async () => control.usage());
  app.post("/admin/instances/:name", { schema: { params: Named, body: InstanceAction } }, async (request, reply) => {
    await control.act(request.params.name, request.body.action);
    return await reply.code(202).send(accepted);
  });
  app.post("/admin/models/:name", { schema: { params: Named, body: ModelAction } }, async (request, reply) => {
    await control.modelAct(request.params.name, request.body.action);
    return await reply.code(202).send(accepted);
  });
  app.post(adminRoutes.reload, async () => await control.reload());
  app.post(adminRoutes.shutdown, { schema: { body: Shutdown } }, async (request, reply) => {
    control.shutdown({ now: request.body.now ?? false });
    return await reply.code(202).send(accepted);
  });
}
