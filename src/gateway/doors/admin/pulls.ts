import { Readable } from "node:stream";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import { adminRoutes } from "../../../api/routes.ts";
import { AssistantError } from "../../../core/errors.ts";
import { Type } from "../../../core/schema.ts";
import type { PullOrder } from "../../../models/presets/named.ts";
import type { PullPort } from "../../ports.ts";

const Id = Type.Object({ id: Type.String() });
const PullBody = Type.Object({
  reference: Type.String({ minLength: 1, maxLength: 2000 }),
  name: Type.Optional(Type.String()),
  sha256: Type.Optional(Type.String()),
  allowPrivate: Type.Optional(Type.Boolean()),
  configure: Type.Optional(Type.Boolean()),
  stream: Type.Optional(Type.Boolean()),
});
/** One JSON value per line. */
const LINES = "application/x-ndjson";
const described = (summary: string) => ({ config: { describe: { summary } } });
const accepted = { accepted: true } as const;

/** The pull's status at each change, until it has ended. A client that disconnects does not end the pull. */
const linesOf = (id: string, pulls: PullPort): Readable =>
  Readable.from(
    (async function* () {
      for await (const status of pulls.follow(id)) yield `${JSON.stringify(status)}\n`;
    })(),
  );

/** A misspelt `sha256` must not result in an unverified pull; fastify's validator would drop the field. */
async function refuseUnknownFields({ body }: { readonly body: unknown }): Promise<void> {
  const fields = Object.keys(PullBody.properties);
  const unknown = Object.keys(body ?? {}).find((field) => !fields.includes(field));
  if (unknown === undefined) return;
  throw new AssistantError(
    "invalid_request",
    `There is no field ${JSON.stringify(unknown)}; expected ${fields.join(", ")}.`,
    {
      param: unknown,
    },
  );
}

/** `orderOf`: what to pull for a reference, which may be the name of a preset. */
export function registerPullRoutes(
  instance: FastifyInstance,
  pulls: PullPort,
  orderOf: (reference: string) => Promise<PullOrder>,
): void {
  const app = instance.withTypeProvider<TypeBoxTypeProvider>();
  app.post(
    adminRoutes.pulls,
    {
      config: { describe: { summary: "Download a model", status: 202 } },
      schema: { body: PullBody },
      preValidation: refuseUnknownFields,
    },
    async (request, reply) => {
      const { stream = false, ...order } = request.body;
      const { reference, name } = await orderOf(order.reference);
      const pull = pulls.start({ ...order, reference, name: order.name ?? name });
      return stream ? await reply.type(LINES).send(linesOf(pull.id, pulls)) : await reply.code(202).send(pull);
    },
  );
  app.get(adminRoutes.pulls, described("List downloads"), async () => ({ pulls: pulls.list() }));
  app.get("/admin/pulls/:id", { ...described("Show a download"), schema: { params: Id } }, async (request) =>
    pulls.get(request.params.id),
  );
  const events = { config: { describe: { summary: "Follow a download", answers: { [LINES]: { type: "object" } } } } };
  app.get("/admin/pulls/:id/events", { ...events, schema: { params: Id } }, async (request, reply) => {
    pulls.get(request.params.id);
    return await reply.type(LINES).send(linesOf(request.params.id, pulls));
  });
  const cancel = { config: { describe: { summary: "Cancel a download", status: 202 } } };
  app.delete("/admin/pulls/:id", { ...cancel, schema: { params: Id } }, async (request, reply) => {
    pulls.cancel(request.params.id);
    return await reply.code(202).send(accepted);
  });
}
