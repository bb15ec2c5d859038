import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import { ModelList } from "../../../api/models.ts";
import { NodeActed, NodeAction, NodesReport } from "../../../api/nodes.ts";
import { adminRoutes } from "../../../api/routes.ts";
import { DaemonStatus, InstanceAction } from "../../../api/status.ts";
import { UsageByDay, UsageReport } from "../../../api/usage.ts";
import { Type } from "../../../core/schema.ts";
import type { Door } from "../../front/door.ts";
import { bearerDoor } from "../../front/error-body.ts";
import type { AuditPort, ControlPort, KeyPort, PullPort } from "../../ports.ts";
import { registerAuditRoute, registerKeyRoutes } from "./keys.ts";
import { registerPullRoutes } from "./pulls.ts";

const ModelAction = Type.Object({
  action: Type.Union([Type.Literal("load"), Type.Literal("unload"), Type.Literal("restart")]),
});
const Shutdown = Type.Object({ now: Type.Optional(Type.Boolean()) });
const UsageQuery = Type.Object({
  from: Type.Optional(Type.String({ pattern: "^\\d{4}-\\d{2}-\\d{2}$" })),
  key: Type.Optional(Type.String({ maxLength: 200 })),
});
const Named = Type.Object({ name: Type.String() });
const described = (summary: string) => ({ config: { describe: { summary } } });
const accepting = (summary: string) => ({ config: { describe: { summary, status: 202 } } });
const accepted = { accepted: true } as const;

/** The admin API: for keys with the scope `admin`, and on the Unix socket. */
export const adminDoor = (
  control: ControlPort,
  pulls: PullPort | null,
  orderOf: Parameters<typeof registerPullRoutes>[2],
  { keys, audit }: { readonly keys: KeyPort | null; readonly audit: AuditPort | null },
): Door => ({
  ...bearerDoor,
  name: "admin",
  scope: "admin",
  register: (app) => {
    registerRoutes(app, control);
    if (pulls !== null) registerPullRoutes(app, pulls, orderOf);
    if (keys !== null) registerKeyRoutes(app, keys);
    if (audit !== null) registerAuditRoute(app, audit);
  },
});

function registerRoutes(instance: FastifyInstance, control: ControlPort): void {
  const app = instance.withTypeProvider<TypeBoxTypeProvider>();
  const status = { ...described("Show what runs"), schema: { response: { 200: DaemonStatus } } };
  app.get(adminRoutes.status, status, async () => await control.status());
  const models = {
    ...described("List the models that are configured or pulled"),
    schema: { response: { 200: ModelList } },
  };
  app.get(adminRoutes.models, models, async () => await control.models());
  const nodes = { ...described("List other machines"), schema: { response: { 200: NodesReport } } };
  app.get(adminRoutes.nodes, nodes, async () => control.nodes());
  const actOnNode = {
    config: { audit: "node.change", describe: { summary: "Drain a machine of the cluster, or return it to service" } },
    schema: { body: NodeAction, response: { 200: NodeActed } },
  };
  app.post(adminRoutes.nodes, actOnNode, async ({ body }) => await control.actOnNode(body));
  const usage = { ...described("Show what each key has used"), schema: { response: { 200: UsageReport } } };
  app.get(adminRoutes.usage, usage, async () => control.usage());
  const days = {
    ...described("Show what each key has used, by day"),
    schema: { querystring: UsageQuery, response: { 200: UsageByDay } },
  };
  app.get(adminRoutes.usageByDay, days, async ({ query: { from, key } }) =>
    control.usageByDay({ from: from ?? "0", ...(key === undefined ? {} : { tenant: key }) }),
  );
  const actOnInstance = { ...accepting("Act on an instance"), schema: { params: Named, body: InstanceAction } };
  app.post("/admin/instances/:name", actOnInstance, async (request, reply) => {
    await control.act(request.params.name, request.body.action);
    return await reply.code(202).send(accepted);
  });
  const actOnModel = { ...accepting("Act on a model"), schema: { params: Named, body: ModelAction } };
  app.post("/admin/models/:name", actOnModel, async (request, reply) => {
    await control.modelAct(request.params.name, request.body.action);
    return await reply.code(202).send(accepted);
  });
  app.post(adminRoutes.reload, described("Reload the configuration"), async () => await control.reload());
  const shutdown = { ...accepting("Stop the daemon"), schema: { body: Shutdown } };
  app.post(adminRoutes.shutdown, shutdown, async (request, reply) => {
    control.shutdown({ now: request.body.now ?? false });
    return await reply.code(202).send(accepted);
  });
}
