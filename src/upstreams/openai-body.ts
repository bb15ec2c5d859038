import type { InferenceCall, JsonObject, WireFormat } from "../core/inference.ts";
import type { ModelSpec } from "../core/model.ts";

/** Where llama-server, and every daemon like this one, answers a wire format. */
export const pathOf: Readonly<Record<WireFormat, string>> = {
  "openai.chat": "/v1/chat/completions",
  "openai.completion": "/v1/completions",
  "openai.embedding": "/v1/embeddings",
  "openai.image": "/v1/images/generations",
  "jina.rerank": "/v1/rerank",
  "vllm.score": "/v1/score",
};

/** Whether the client asked for usage at the end of a stream. */
export const asksUsage = ({ body }: InferenceCall): boolean =>
  (body.json["stream_options"] as { include_usage?: unknown } | null | undefined)?.include_usage === true;

/** The body with what the model's settings add: usage at the end of a stream. The client's own object where nothing is added. */
export function withUsage(call: InferenceCall, model: ModelSpec): JsonObject {
  const { json } = call.body;
  if (!call.streamed || !model.includeUsage || asksUsage(call)) return json;
  return { ...json, stream_options: { ...(json["stream_options"] as object | null), include_usage: true } };
}

/** As the client wrote it, wherever that will do. */
export const encodeBody = ({ body }: InferenceCall, json: JsonObject): Buffer =>
  json === body.json ? body.bytes : Buffer.from(JSON.stringify(json));
