import type { FastifyInstance, FastifyRequest } from "fastify";
import { requestHeaders } from "../../../api/headers.ts";
import type { Voice } from "../../../core/engine.ts";
import { AssistantError } from "../../../core/errors.ts";
import { answers, type ModelSpec, type Operation } from "../../../core/model.ts";
import type { RequestProgress } from "../../../core/request.ts";
import { type ModelDirectory, modelsFor, notFound, requireModel } from "../../../inference/resolve.ts";
import type { ModelWeights } from "../../ports.ts";
import { described } from "./memory-schema.ts";

export interface MemoryRoutesOptions {
  readonly directory: ModelDirectory;
  readonly weights: (model: string) => ModelWeights | null;
  /** The voices of a speech model. Rejects if they cannot be determined. */
  readonly voices: (model: ModelSpec) => Promise<readonly Voice[]>;
  readonly version: string;
  /** The progress of a request that has not ended. */
  readonly progress: (tenant: string, requestId: string) => RequestProgress | null;
  /** The listener only serves these models; null: all. */
  readonly onlyModels: readonly string[] | null;
  readonly isStopping: () => boolean;
}

/** Models, server information, health and the progress of requests. */
export function registerMemoryRoutes(app: FastifyInstance, options: MemoryRoutesOptions): void {
  const { directory, onlyModels, progress, isStopping } = options;
  const models = ({ identity, headers }: FastifyRequest): readonly ModelSpec[] => {
    const all = modelsFor(identity.caller, directory);
    // Another daemon lists our models as its own; listing them here again would make a loop.
    const told = headers[requestHeaders.hops] === undefined ? all : all.filter(({ file }) => file !== "");
    return onlyModels === null ? told : told.filter((model) => onlyModels.includes(model.name));
  };
  const health = async (): Promise<object> => {
    if (isStopping()) throw new AssistantError("shutting_down", "The daemon is stopping.");
    return { status: "ok" };
  };
  const list = async (request: FastifyRequest): Promise<object> => ({
    object: "list",
    data: models(request).map((model) => describe(model, options)),
  });
  const one = async (request: FastifyRequest): Promise<object> => {
    const { "*": name } = request.params as { "*": string };
    const model = directory.find(name);
    if (model !== undefined) requireModel(request.identity.caller, model);
    if (model === undefined || !models(request).includes(model)) throw notFound(models(request), name);
    return describe(model, options);
  };
  const voices = async (request: FastifyRequest): Promise<object> => {
    const { model: wanted } = request.query as { model?: unknown };
    const speaking = models(request).filter((model) => answers(model, "speech"));
    const asked = typeof wanted === "string" ? speaking.filter((model) => isNamed(model, wanted)) : speaking;
    if (typeof wanted === "string" && asked.length === 0) throw notFound(speaking, wanted);
    const data = (await Promise.all(asked.map((model) => voicesOf(model, options)))).flat();
    // OpenAI has no such route; others use one of these two names for the list.
    return { object: "list", data, voices: data };
  };
  const info = async (request: FastifyRequest): Promise<object> =>
    describeServer(models(request), options, request.raw.socket.localPort);
  const standing = async ({ params, identity }: FastifyRequest): Promise<object> => {
    const { id } = params as { id: string };
    const found = progress(identity.caller.tenant, id);
    // Another tenant's request is hidden, like one that has ended.
    if (found === null || found.tenant !== identity.caller.tenant) {
      throw new AssistantError("request_not_found", `No request with the id "${id.slice(0, 128)}" waits or runs.`, {
        remedy: "Set x-request-id on the request, and query that id before the request has ended.",
      });
    }
    return describeProgress(id, found);
  };

  for (const prefix of ["", "/v1"]) {
    app.get(`${prefix}/requests/:id`, { config: { describe: described.request } }, standing);
    // A probe may use it without a key: it only learns that the daemon is running.
    app.get(`${prefix}/health`, { config: { scope: null, describe: described.health } }, health);
    app.get(`${prefix}/models`, { config: { describe: described.models } }, list);
    // Names may contain slashes, and clients do not always escape them.
    app.get(`${prefix}/models/*`, { config: { describe: described.model } }, one);
    app.get(`${prefix}/info`, { config: { describe: described.info } }, info);
    app.get(`${prefix}/audio/voices`, { config: { describe: described.voices } }, voices);
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

const isNamed = ({ name, aliases }: ModelSpec, wanted: string): boolean => name === wanted || aliases.includes(wanted);

/** A model whose voice cannot be read has none, as `assistant status` explains; the others are listed. */
const voicesOf = async (model: ModelSpec, { voices }: MemoryRoutesOptions): Promise<readonly object[]> =>
  (await voices(model).catch(() => [])).map((voice) => ({ ...voice, object: "voice", model: model.name }));

const describe = (model: ModelSpec, { directory, weights }: MemoryRoutesOptions): object => ({
  id: model.name,
  object: "model",
  created: Math.floor(directory.createdAt(model.name) / 1000),
  owned_by: model.source.type === "worker" ? "worker" : (model.nodes?.join(", ") ?? "assistant"),
  aliases: model.aliases,
  kind: model.kind,
  capabilities: model.capabilities,
  context_length: model.load.contextTokens || null,
  meta: describeMeta(model, weights(model.name)),
});

/** The fields of llama-server's own list, under its names; null if the weights are not here. */
const describeMeta = ({ load }: ModelSpec, weights: ModelWeights | null): object | null =>
  weights === null
    ? null
    : {
        n_ctx: load.contextTokens,
        n_ctx_train: weights.trainContextTokens,
        n_params: weights.parameters,
        size: weights.bytes,
      };

function describeServer(
  models: readonly ModelSpec[],
  { version, directory }: MemoryRoutesOptions,
  port: number | undefined,
): object {
  const first = (operation: Operation): object | null => {
    const preferred = directory.find("default");
    const fitting = models.filter((model) => answers(model, operation));
    const model = fitting.find((candidate) => candidate === preferred) ?? fitting[0];
    return model === undefined ? null : describeSettings(model);
  };
  return {
    api_server: { type: "assistant", version, ...(port === undefined ? {} : { port: String(port) }) },
    chat_model: first("chat"),
    embedding_model: first("embedding"),
    tts_model: first("speech"),
    extras: { models: models.map((model) => model.name) },
  };
}

/** A model in the format of LlamaEdge's /v1/info. */
const describeSettings = ({ name, kind, load, sampling }: ModelSpec): object => ({
  type: kind,
  name,
  ctx_size: load.contextTokens || null,
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
