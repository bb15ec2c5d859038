import { AssistantError } from "../core/errors.ts";
import type { CallForm, InferenceCall, JsonObject, WireFormat } from "../core/inference.ts";
import { type ModelSpec, samplingFields } from "../core/model.ts";

/** The paths at which llama-server, and every daemon like this one, serves a wire format. */
export const pathOf: Readonly<Record<WireFormat, string>> = {
  "llamacpp.tokenize": "/tokenize",
  "llamacpp.detokenize": "/detokenize",
  "llamacpp.template": "/apply-template",
  "llamacpp.tokens": "/v1/chat/completions/input_tokens",
  "llamacpp.completion": "/completion",
  "llamacpp.infill": "/infill",
  "llamacpp.props": "/props",
  "llamacpp.adapters": "/lora-adapters",
  "openai.chat": "/v1/chat/completions",
  "openai.completion": "/v1/completions",
  "openai.embedding": "/v1/embeddings",
  "openai.image": "/v1/images/generations",
  "jina.rerank": "/v1/rerank",
  "vllm.score": "/v1/score",
  "openai.speech": "/v1/audio/speech",
  "openai.transcription": "/v1/audio/transcriptions",
  "openai.translation": "/v1/audio/translations",
  "openai.moderation": "/v1/moderations",
  "pipeline.input": "/input",
  "kserve.infer": "/infer/json",
};

/** Its requests have no body. */
const READS: ReadonlySet<WireFormat> = new Set(["llamacpp.props", "llamacpp.adapters"]);
export const methodOf = (wire: WireFormat): "GET" | "POST" => (READS.has(wire) ? "GET" : "POST");

/** Whether the format is only supported by llama.cpp's servers. */
export const isLlamaCpp = (wire: WireFormat): boolean => wire.startsWith("llamacpp.");

/** For targets without it. `target`: the first words of the message. */
export const noLlamaCpp = (target: string, { name }: Pick<ModelSpec, "name">): AssistantError =>
  new AssistantError("wrong_model_kind", `${target} of "${name}" is called through OpenAI's API, not llama-server's.`, {
    param: "model",
    remedy: "Use a model that runs on this machine, or OpenAI's routes.",
  });

/** Whether the client requested usage at the end of a stream. */
export const asksUsage = ({ body }: InferenceCall): boolean =>
  (body.json["stream_options"] as { include_usage?: unknown } | null | undefined)?.include_usage === true;

/**
 * The body with additions from the model's settings: usage at the end of a stream, and sampling for a provider's model
 * (other targets have it themselves). The client's own object if nothing is added.
 */
export function withSettings(call: InferenceCall, model: ModelSpec): JsonObject {
  const json = withSampling(call, model);
  if (!call.streamed || !model.includeUsage || asksUsage(call) || isLlamaCpp(call.wire)) return json;
  return { ...json, stream_options: { ...(json["stream_options"] as object | null), include_usage: true } };
}

const LIMITS = ["max_tokens", "max_completion_tokens", "n_predict"];

function withSampling({ wire, body: { json } }: InferenceCall, { source, sampling }: ModelSpec): JsonObject {
  if (source.type !== "provider" || (wire !== "openai.chat" && wire !== "openai.completion")) return json;
  const isLimited = LIMITS.some((name) => json[name] !== undefined && json[name] !== null);
  const added = Object.entries({
    ...samplingFields(sampling),
    max_tokens: isLimited || sampling.maxTokens < 0 ? null : sampling.maxTokens,
    stop: sampling.stop.length === 0 ? null : sampling.stop,
  }).filter(([name, value]) => value !== null && (json[name] ?? null) === null);
  return added.length === 0 ? json : { ...json, ...Object.fromEntries(added) };
}

/** As the client wrote it, wherever possible. */
export function encodeBody({ body }: InferenceCall, json: JsonObject): Buffer {
  if (json === body.json) return body.bytes;
  return body.form === undefined ? Buffer.from(JSON.stringify(json)) : encodeForm(json, body.form);
}

export const contentTypeOf = ({ body }: InferenceCall): string => body.form?.contentType ?? "application/json";

/** A form with other fields, with the client's own boundary, which is known not to occur in its file. */
function encodeForm(fields: JsonObject, { contentType, file }: CallForm): Buffer {
  const boundary = /boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType);
  const delimiter = `--${boundary?.[1] ?? boundary?.[2] ?? ""}`;
  const part = (name: string, more = ""): string =>
    `${delimiter}\r\nContent-Disposition: form-data; name="${quotable(name)}"${more}\r\n\r\n`;
  const texts = Object.entries(fields).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((each) => `${part(name)}${String(each)}\r\n`),
  );
  const head = part("file", `; filename="${quotable(file.name)}"\r\nContent-Type: ${file.type}`);
  return Buffer.concat([Buffer.from(texts.join("") + head), file.bytes, Buffer.from(`\r\n${delimiter}--\r\n`)]);
}

/** As browsers write names into a form's headers. */
const quotable = (text: string): string => text.replace(/["\r\n]/g, (character) => encodeURIComponent(character));
