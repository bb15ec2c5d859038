import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { taskRoutes } from "../../../api/tasks.ts";
import { choice, integer, text } from "../../../config/schema/kit.ts";
import { conversationNotFound } from "../../../conversations/conversations.ts";
import type { TaskSettings } from "../../../core/config.ts";
import { AssistantError, isAssistantError } from "../../../core/errors.ts";
import { bodyOf, type Caller } from "../../../core/inference.ts";
import { Type } from "../../../core/schema.ts";
import { type ModelDirectory, modelsFor, notFound, resolveModel } from "../../../inference/resolve.ts";
import { TaskBody } from "../../../tasks/body.ts";
import { modelNameOf, orderedOf, withoutNulls } from "../../../tasks/precedence.ts";
import { type TaskOrder, type TaskOrigin, type TaskStatus, taskStatuses } from "../../../tasks/record.ts";
import type { Owner, Tasks } from "../../../tasks/tasks.ts";
import { checkWebhookUrl } from "../../../tasks/webhook-post.ts";
import { reportOf, taskResponse } from "../../../tasks/wire.ts";
import { decodedBody } from "../../canonical/decode.ts";
import { type Authorizer, ownerOf as ownerOfIdentity } from "../../front/authorize.ts";
import { checkedBody } from "../../front/checked-body.ts";
import type { RouteDescription } from "../../front/describe.ts";
import { spanOfRequest } from "../../front/request-span.ts";
import type { ConversationRoutesOptions } from "./conversations.ts";
import { described } from "./describe-tasks.ts";
import { eventsOf } from "./task-events.ts";

export interface TaskRoutesOptions extends Pick<ConversationRoutesOptions, "conversations"> {
  readonly directory: ModelDirectory;
  /** Null: there are none, and no routes for them. */
  readonly tasks: Tasks | null;
  readonly authorizer: Pick<Authorizer, "admitLater">;
  /** The listener only serves these models; null: all. */
  readonly onlyModels: readonly string[] | null;
}

const PREFIX = taskRoutes.tasks;
const open = (describe: RouteDescription) => ({ config: { describe } });
const MAX_BATCH = 1_000;
const MAX_PAGE = 1_000;
const DEFAULT_PAGE = 100;

const Batch = Type.Object({ tasks: Type.Array(Type.Unsafe<object>({ type: "object" }), { required: true }) });
const Query = Type.Object({
  status: choice([...taskStatuses], "Only tasks with this status."),
  limit: integer("Most tasks of a page.", { minimum: 1, maximum: MAX_PAGE }),
  after: text("`next` of the page before.", { minLength: 1 }),
});

/** Creates, shows and cancels tasks. */
export function registerTaskRoutes(app: FastifyInstance, options: TaskRoutesOptions): void {
  const { tasks, authorizer } = options;
  if (tasks === null) return;
  const create = async (request: FastifyRequest, reply: FastifyReply, orders: readonly TaskOrder[]) => {
    const { identity } = request;
    // Each counts as a started request, if they are accepted.
    const takeBack = authorizer.admitLater(identity, orders.length);
    try {
      return await tasks.create(orders, identity.caller, originOf(request, reply));
    } catch (error) {
      takeBack();
      throw error;
    }
  };
  const order = (body: unknown, { identity }: FastifyRequest): Promise<TaskOrder> =>
    orderOf(body, identity.caller, tasks.settings, options);

  app.post(PREFIX, open(described.create), async (request, reply) => {
    const [created] = await create(request, reply, [await order(request.body, request)]);
    if (created === undefined) return null;
    if (created.isReplay) reply.header("idempotency-replayed", "true");
    return await reply.code(201).send(taskResponse(created.id, created.task));
  });
  app.post(`${PREFIX}/batch`, open(described.batch), async (request, reply) => {
    const { tasks: bodies } = checkedBody(Batch, request.body);
    if (bodies.length === 0 || bodies.length > MAX_BATCH)
      throw new AssistantError("invalid_request", `tasks: expected 1 to ${MAX_BATCH} tasks, found ${bodies.length}.`, {
        param: "tasks",
      });
    const orders: TaskOrder[] = [];
    for (const [index, body] of bodies.entries())
      orders.push(await order(body, request).catch(within(`tasks[${index}].`)));
    const created = await create(request, reply, orders);
    return await reply.code(201).send({ tasks: created.map(({ id, task }) => taskResponse(id, task)) });
  });
  app.get(PREFIX, open(described.list), async (request) => {
    const { limit, ...query } = request.query as Record<string, unknown>;
    const {
      status,
      limit: size,
      after,
    } = checkedBody(Query, {
      ...query,
      ...(limit === undefined ? {} : { limit: Number(limit) }),
    });
    const page = await tasks.list(ownerOf(request), {
      status: (status as TaskStatus | undefined) ?? null,
      limit: size ?? DEFAULT_PAGE,
      after: after ?? null,
    });
    return { tasks: page.records.map(({ id, value }) => taskResponse(id, value)), next: page.next };
  });
  app.get(`${PREFIX}/:id`, open(described.show), async (request) => {
    const { id, value } = await tasks.get(idOf(request), ownerOf(request));
    return taskResponse(id, value);
  });
  app.get(`${PREFIX}/:id/report`, open(described.report), async (request) => {
    const { task, delivery } = await tasks.report(idOf(request), ownerOf(request));
    return reportOf(task.id, task.value, delivery);
  });
  app.get(`${PREFIX}/:id/stream`, open(described.stream), async (request, reply) => {
    // Errors are reported before the stream starts.
    await tasks.get(idOf(request), ownerOf(request));
    return await reply
      .type("text/event-stream")
      .header("cache-control", "no-cache")
      .header("x-accel-buffering", "no")
      .send(eventsOf(tasks.follow(idOf(request), ownerOf(request)), originOf(request, reply).traceId));
  });
  app.post(`${PREFIX}/:id/cancel`, open(described.cancel), async (request) => {
    const { id, value } = await tasks.cancel(idOf(request), ownerOf(request));
    return taskResponse(id, value);
  });
  app.get(
    taskRoutes.webhookSecret,
    { config: { scope: "admin", announced: true, describe: described.secret } },
    async () => ({ secret: await tasks.webhookSecret() }),
  );
  app.delete(`${PREFIX}/:id`, open(described.delete), async (request, reply) => {
    await tasks.remove(idOf(request), ownerOf(request));
    return await reply.code(204).send();
  });
}

/** A caller's task. Rejects with `invalid_request`, `model_not_found`, … naming the field. */
async function orderOf(
  given: unknown,
  caller: Caller,
  { maxAttempts, webhooks }: TaskSettings,
  { directory, onlyModels, conversations }: TaskRoutesOptions,
): Promise<TaskOrder> {
  const body = checkedBody(TaskBody, withoutNulls(given));
  const named = (name: string, among: readonly string[] | null) =>
    resolveModel(directory, { selector: { model: name, among }, operation: "chat", caller });
  const { conversation_id: conversationId, save_to_conversation: saves = true } = body;
  if (conversationId !== undefined && conversations === null) throw conversationNotFound(conversationId);
  const conversation = conversationId === undefined ? null : await conversations?.get(caller.tenant, conversationId);
  const model = named(modelNameOf(body, conversation?.model ?? null), onlyModels);
  if (body.webhook_url !== undefined) checkWebhookUrl(body.webhook_url, webhooks.allowPrivate);
  const fallback = (name: string): string => {
    const found = named(name, null);
    if (onlyModels?.includes(found.name) !== false) return found.name;
    throw notFound(
      modelsFor(caller, directory).filter((other) => onlyModels.includes(other.name)),
      name,
    );
  };
  const { request, schema } = orderedOf(body, model);
  // What engines would refuse is refused now, not when the task runs.
  inClientsNames(body, () => decodedBody("chat", bodyOf({ ...request, model: model.name })).checked?.());
  return {
    model: model.name,
    fallbacks: (body.fallback_models ?? []).map((name, index) =>
      renaming(
        () => `fallback_models[${index}]`,
        () => fallback(name),
      ),
    ),
    request,
    schema,
    repair: body.repair ?? false,
    priority: body.priority ?? 0,
    runAt: body.run_at === undefined ? null : timeOf(body.run_at),
    maxAttempts: body.max_attempts ?? maxAttempts,
    webhookUrl: body.webhook_url ?? null,
    idempotencyKey: body.idempotency_key ?? null,
    ...(conversationId === undefined ? {} : { conversation: { id: conversationId, saves } }),
  };
}

function timeOf(written: string): number {
  const time = Date.parse(written);
  // Otherwise the 31st of February would become a day in March.
  const [year, month, day] = written.slice(0, 10).split("-").map(Number) as [number, number, number];
  const isDay = new Date(Date.UTC(year, month - 1, day)).getUTCDate() === day;
  if (!Number.isNaN(time) && isDay) return time;
  throw new AssistantError(
    "invalid_request",
    `run_at: expected a time that exists, found ${JSON.stringify(written)}.`,
    {
      param: "run_at",
    },
  );
}

/** Errors about the chat request, with the task's names for its fields. */
const inClientsNames = (body: TaskBody, check: () => unknown): unknown =>
  renaming((param) => {
    if (body.output_schema !== undefined && param.startsWith("response_format"))
      return param.replace(/^response_format(\.json_schema)?(\.schema)?/, "output_schema");
    return param === "stop" || param.startsWith("stop[") ? param.replace("stop", "stop_sequences") : param;
  }, check);

/** Adds the index of the task in a batch to an error. */
const within =
  (prefix: string) =>
  (error: unknown): never => {
    throw renamed(error, (param) => prefix + param);
  };

/** Runs a function that may throw, and renames the field in its error. */
function renaming<T>(rename: (param: string) => string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw renamed(error, rename);
  }
}

function renamed(error: unknown, rename: (param: string) => string): unknown {
  if (!isAssistantError(error)) return error;
  const { code, message, param, remedy, counts } = error;
  const name = rename(param ?? "").replace(/\.$/, "");
  return new AssistantError(code, param === null ? message : message.replace(param, name), {
    param: name,
    ...(remedy === null ? {} : { remedy }),
    ...(counts === null ? {} : { counts }),
    cause: error,
  });
}

const idOf = ({ params }: FastifyRequest): string => (params as { readonly id: string }).id;

/** The request's trace; without a trace, its id. */
function originOf({ raw }: FastifyRequest, reply: FastifyReply): TaskOrigin {
  const span = spanOfRequest(raw);
  return span === null
    ? { traceId: String(reply.raw.getHeader("x-request-id") ?? ""), trace: null }
    : { traceId: span.traceId, trace: span.headers };
}

/** The tenant whose tasks a request may see. */
const ownerOf = ({ identity }: FastifyRequest): Owner => ownerOfIdentity(identity);
