import type { IncomingMessage } from "node:http";
import type { FastifyInstance } from "fastify";
import { AssistantError } from "../../core/errors.ts";
import type { ModelSpec } from "../../core/model.ts";
import type { RequestProgress } from "../../core/request.ts";
import { rememberedKey, tenantOf } from "../front/keys.ts";
import { directoryFor } from "../front/rights.ts";
import type { DoorContext, InferenceRoute } from "../ports.ts";
import { notFound } from "./resolve-model.ts";

const chat: InferenceRoute = { name: "chat", kind: "chat", path: "/v1/chat/completions" };
const completion: InferenceRoute = { name: "completion", kind: "chat", path: "/v1/completions" };
const embedding: InferenceRoute = { name: "embedding", kind: "embedding", path: "/v1/embeddings" };

/** Paths that reach an engine. Without `/v1` too, for clients that were given the address alone. */
export const inferenceRoutes: ReadonlyMap<string, InferenceRoute> = new Map([
  ["/v1/chat/completions", chat],
  ["/chat/completions", chat],
  ["/v1/completions", completion],
  ["/completions", completion],
  ["/v1/embeddings", embedding],
  ["/embeddings", embedding],
]);

/** Paths that a probe may ask without a key: they tell nothing but that the daemon is there. */
export const publicPaths: ReadonlySet<string> = new Set(["/health", "/v1/health"]);

interface Asked {
  readonly params: unknown;
  readonly raw: IncomingMessage;
}

/** Routes that answer from memory. `port` is what /v1/info tells of the listener, as text. */
export function registerOpenAiRoutes(app: FastifyInstance, context: DoorContext, isStopping: () => boolean): void {
  const models = (raw: IncomingMessage): readonly ModelSpec[] => {
    const { onlyModels } = context;
    const all = directoryFor(rememberedKey(raw), context.directory).all();
    return onlyModels === null ? all : all.filter((model) => onlyModels.includes(model.name));
  };
  const health = async (): Promise<object> => {
    if (isStopping()) throw new AssistantError("shutting_down", "The daemon is stopping.");
    return { status: "ok" };
  };
  const list = async ({ raw }: Asked): Promise<object> => ({ object: "list", data: models(raw).map((model) => describe(model, context)) });
  const one = async ({ params, raw }: Asked): Promise<object> => {
    const name = (params as { "*": string })["*"];
    const directory = directoryFor(rememberedKey(raw), context.directory);
    const model = directory.find(name);
    if (model === undefined || !models(raw).includes(model)) throw notFound(directory, name);
    return describe(model, context);
  };
  const info = async ({ raw }: Asked): Promise<object> => describeServer(models(raw), context, raw.socket.localPort);

  const progress = async ({ params, raw }: Asked): Promise<object> => {
    const { id } = params as { id: string };
    const found = context.progress(id);
    // Somebody else's request is as little there as one that has ended.
    if (found === null || found.tenant !== tenantOf(rememberedKey(raw))) {
      throw new AssistantError("request_not_found", `No request with the id "${id.slice(0, 128)}" waits or runs.`, {
        remedy: "Send an id of your own as x-request-id with the request, and ask for it while the request has not ended.",
      });
    }
    return describeProgress(id, found);
  };

  for (const prefix of ["", "/v1"]) {
    app.get(`${prefix}/requests/:id`, progress);
    app.get(`${prefix}/health`, health);
    app.get(`${prefix}/models`, list);
    // Names may hold slashes, and clients do not always escape them.
    app.get(`${prefix}/models/*`, one);
    app.get(`${prefix}/info`, info);
  }
}

const describeProgress = (id: string, { model, ageMs, wait, instanceId, answering }: RequestProgress): object => ({
  id,
  object: "request",
  model,
  state: wait !== null ? "waiting" : answering ? "answering" : "prefilling",
  reason: wait?.reason ?? null,
  place: wait?.place ?? null,
  expected_start_ms: wait?.expectedStartMs == null ? null : Math.round(wait.expectedStartMs),
  age_ms: Math.round(ageMs),
  instance: instanceId,
});

const describe = (model: ModelSpec, { directory }: DoorContext): object => ({
  id: model.name,
  object: "model",
  created: Math.floor(directory.createdAt(model.name) / 1000),
  owned_by: model.nodes?.join(", ") ?? "assistant",
  aliases: model.aliases,
  kind: model.kind,
  context_length: model.load.contextTokens,
});

function describeServer(models: readonly ModelSpec[], { version, directory }: DoorContext, port: number | undefined): object {
  const first = (kind: ModelSpec["kind"]): object | undefined => {
    const preferred = directory.find("default");
    const model = preferred?.kind === kind && models.includes(preferred) ? preferred : models.find((candidate) => candidate.kind === kind);
    return model === undefined ? undefined : describeSettings(model);
  };
  return {
    api_server: { type: "assistant", version, ...(port === undefined ? {} : { port: String(port) }) },
    chat_model: first("chat") ?? null,
    embedding_model: first("embedding") ?? null,
    extras: { models: models.map((model) => model.name) },
  };
}

/** A model in the words of LlamaEdge's /v1/info. */
const describeSettings = ({ name, kind, load, sampling }: ModelSpec): object => ({
  type: kind,
  name,
  ctx_size: load.contextTokens,
  batch_size: load.batchTokens,
  ubatch_size: load.microBatchTokens,
  prompt_template: load.chatTemplate === "" ? null : load.chatTemplate,
  n_predict: sampling.maxTokens,
  n_gpu_layers: load.gpuLayers,
  temperature: sampling.temperature,
  top_p: sampling.topP,
  repeat_penalty: sampling.repeatPenalty,
  presence_penalty: sampling.presencePenalty,
  frequency_penalty: sampling.frequencyPenalty,
});
