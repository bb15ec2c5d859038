import type { FastifyInstance, FastifyRequest } from "fastify";
import { answers, type ModelSpec } from "../../../core/model.ts";
import { type ModelDirectory, modelsFor, notFound, requireModel } from "../../../inference/resolve.ts";
import { invalid, shown } from "../../canonical/rules.ts";

export interface MemoryRoutesOptions {
  readonly directory: ModelDirectory;
  /** The listener only serves these models; null: all. */
  readonly onlyModels: readonly string[] | null;
}

const DEFAULT_LIMIT = 20;
const MAX_LIMIT = 1000;

/** The lists of models, on OpenAI's paths for requests with a version of this API. */
export function registerModelRoutes(app: FastifyInstance, { directory, onlyModels }: MemoryRoutesOptions): void {
  const constraints = { anthropic: "anthropic" };
  const models = ({ identity }: FastifyRequest): readonly ModelSpec[] =>
    modelsFor(identity.caller, directory).filter(
      (model) => answers(model, "chat") && (onlyModels === null || onlyModels.includes(model.name)),
    );
  app.addHook("onRequest", async (_, reply) => {
    reply.raw.setHeader("request-id", String(reply.raw.getHeader("x-request-id")));
  });
  app.get("/v1/models", { constraints }, async (request) => page(models(request), request.query as Query, directory));
  app.get("/v1/models/*", { constraints }, async (request) => {
    const { "*": name } = request.params as { "*": string };
    const model = directory.find(name);
    if (model !== undefined) requireModel(request.identity.caller, model);
    if (model === undefined || !models(request).includes(model)) throw notFound(models(request), name);
    return describe(model, directory);
  });
}

type Query = Readonly<Record<string, unknown>>;

/** Throws `invalid_request` for a wrong limit, and for an id that is not on the list. */
function page(models: readonly ModelSpec[], query: Query, directory: ModelDirectory): object {
  const limit = limitOf(query["limit"]);
  const after = indexOf(models, query, "after_id");
  const before = indexOf(models, query, "before_id");
  const end = before ?? models.length;
  // The nearest models before an id.
  const from = after !== null ? after + 1 : before === null ? 0 : Math.max(0, end - limit);
  const shownModels = models.slice(from, Math.min(end, from + limit));
  return {
    data: shownModels.map((model) => describe(model, directory)),
    has_more: before !== null && after === null ? from > 0 : from + shownModels.length < end,
    first_id: shownModels[0]?.name ?? null,
    last_id: shownModels.at(-1)?.name ?? null,
  };
}

function limitOf(written: unknown): number {
  if (written === undefined) return DEFAULT_LIMIT;
  const limit = Number(written);
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw invalid("limit", `"limit" must be an integer from 1 to ${MAX_LIMIT}; found ${shown(written)}.`);
}

function indexOf(models: readonly ModelSpec[], query: Query, name: string): number | null {
  const id = query[name];
  if (id === undefined) return null;
  const index = models.findIndex((model) => model.name === id);
  if (index >= 0) return index;
  throw invalid(name, `"${name}" must be the id of a listed model; found ${shown(id)}.`);
}

const describe = ({ name, load }: ModelSpec, directory: ModelDirectory): object => ({
  type: "model",
  id: name,
  display_name: name,
  created_at: new Date(directory.createdAt(name)).toISOString(),
  max_input_tokens: load.contextTokens || null,
  max_tokens: load.contextTokens || null,
  capabilities: null,
  lifecycle: "active",
  line: null,
  deprecated_at: null,
  retires_at: null,
});
