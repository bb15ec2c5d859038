import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import { AuditReport } from "../../../api/audit.ts";
import { KeyAction, KeyOrder, KeyView, NewKey } from "../../../api/keys.ts";
import { adminRoutes } from "../../../api/routes.ts";
import { AssistantError } from "../../../core/errors.ts";
import { Type } from "../../../core/schema.ts";
import { checkedBody, statedBody } from "../../front/checked-body.ts";
import type { AuditPort, KeyPort } from "../../ports.ts";

const KeyList = Type.Object({ keys: Type.Array(KeyView) });
const Named = Type.Object({ name: Type.String() });
const AuditQuery = Type.Object({
  since: Type.Optional(Type.Number()),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
  after: Type.Optional(Type.String()),
});
const DEFAULT_LIMIT = 100;

/** Creates, shows, rotates and revokes keys. A secret appears only in the response that creates it. */
export function registerKeyRoutes(instance: FastifyInstance, keys: KeyPort): void {
  const app = instance.withTypeProvider<TypeBoxTypeProvider>();
  const list = { ...described("List API keys, without their secrets"), schema: { response: { 200: KeyList } } };
  app.get(adminRoutes.keys, list, async () => ({ keys: await keys.list() }));
  const create = {
    config: { audit: "key.create", describe: { summary: "Create an API key", body: statedBody(KeyOrder) } },
    schema: { response: { 201: NewKey } },
  };
  app.post(
    adminRoutes.keys,
    create,
    async ({ body }, reply) => await reply.code(201).send(await keys.create(checkedBody(KeyOrder, body))),
  );
  const show = { ...described("Show an API key"), schema: { params: Named, response: { 200: KeyView } } };
  app.get("/admin/keys/:name", show, async ({ params }) => keys.show(params.name));
  const change = {
    config: {
      audit: "key.change",
      describe: { summary: "Replace an API key's secret, or revoke the key", body: statedBody(KeyAction) },
    },
    schema: { params: Named },
  };
  app.post("/admin/keys/:name", change, async (request) => {
    const { action, graceS = 0, forget = false } = checkedBody(KeyAction, request.body);
    const { name } = request.params;
    if (action === "rotate" && forget) throw misplaced("forget", "revoke");
    if (action === "revoke" && graceS > 0) throw misplaced("graceS", "rotate");
    return action === "rotate" ? await keys.rotate(name, graceS) : { key: await keys.revoke(name, { forget }) };
  });
}

/** The audit trail. */
export function registerAuditRoute(instance: FastifyInstance, audit: AuditPort): void {
  const app = instance.withTypeProvider<TypeBoxTypeProvider>();
  const list = {
    ...described("List who changed what, newest first"),
    schema: { querystring: AuditQuery, response: { 200: AuditReport } },
  };
  app.get(adminRoutes.audit, list, async ({ query: { limit = DEFAULT_LIMIT, ...rest } }) =>
    audit.list({ limit, ...rest }),
  );
}

const described = (summary: string) => ({ config: { describe: { summary } } });

const misplaced = (field: string, action: string): AssistantError =>
  new AssistantError("invalid_request", `${field} belongs to the action "${action}".`, { param: field });
