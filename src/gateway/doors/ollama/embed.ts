import { isAssistantError, presentable } from "../../../core/errors.ts";
import type { InferenceCall, JsonObject } from "../../../core/inference.ts";
import { CallerGone } from "../../../core/upstream.ts";
import { answerOf, type CollectedAnswer } from "../../../inference/collect.ts";
import { parseBody } from "../../canonical/decode.ts";
import { integer, invalid, isString, mustBe, shown } from "../../canonical/rules.ts";
import type { DecodedBody } from "../../front/door.ts";
import { canonical, flagOf, isGiven, textOf } from "./fields.ts";
import { Metrics } from "./metrics.ts";
import { findModel } from "./names.ts";
import { optionFields } from "./options.ts";
import type { OllamaOptions } from "./ports.ts";
import { keepAliveOf, keptAnswer, residencyAnswer, sendJson } from "./residency.ts";

/** `/api/embed`. Throws `invalid_request` naming the first wrong field. */
export function decodeEmbed(bytes: Buffer, options: OllamaOptions): DecodedBody {
  const { json } = parseBody(bytes);
  const { dimensions } = json;
  if (isGiven(dimensions)) mustBe(integer(0), dimensions, "dimensions");
  return decodeVectors(json, options, {
    input: textsOf(json),
    body: (model, vectors, metrics) => ({
      model,
      embeddings: vectors.map((vector) =>
        unit(isGiven(dimensions) && dimensions !== 0 ? vector.slice(0, dimensions as number) : vector),
      ),
      ...metrics,
    }),
  });
}

/** `/api/embeddings`, the older route, for one text. */
export function decodeEmbeddings(bytes: Buffer, options: OllamaOptions): DecodedBody {
  const { json } = parseBody(bytes);
  const prompt = textOf(json, "prompt");
  return decodeVectors(json, options, {
    input: prompt === "" ? [] : [prompt],
    body: (_, vectors) => ({ embedding: vectors[0] ?? [] }),
  });
}

type Vector = readonly number[];

interface VectorRequest {
  readonly input: readonly string[];
  readonly body: (model: string, vectors: readonly Vector[], metrics: JsonObject) => JsonObject;
}

function decodeVectors(json: JsonObject, options: OllamaOptions, { input, body }: VectorRequest): DecodedBody {
  const written = textOf(json, "model");
  const model = findModel(options.directory, written);
  const keepAliveMs = keepAliveOf(json);
  const isTruncated = flagOf(json, "truncate", true);
  optionFields(json, model, "embedding");
  const isEmpty = input.length === 0;
  const decodedOf = (texts: readonly string[]): DecodedBody =>
    canonical("embedding", { model: model?.name ?? written, input: texts.length === 0 ? "" : texts });
  const decoded = decodedOf(input);
  if (isEmpty) return { ...decoded, answer: residencyAnswer(options, keepAliveMs, () => body(written, [], {})) };
  const answer = keptAnswer(options, keepAliveMs, async (call, client) => {
    const metrics = new Metrics();
    const shortened = (texts: readonly string[]): InferenceCall => {
      const { model: _, ...changed } = decodedOf(texts);
      return { ...call, ...changed };
    };
    try {
      const { body: bytes, headers } = await fittingAnswer(options.inference, input, isTruncated, shortened);
      const own = headers.filter((_, index) => (headers[index - (index % 2)] as string).startsWith("x-assistant-"));
      metrics.head(headers);
      sendJson(client, answerBody(JSON.parse(bytes.toString()) as JsonObject, written, metrics, body), own);
    } catch (error) {
      if (error instanceof CallerGone) client.abort();
      else client.fail(presentable(error), [], true);
    }
  });
  return { ...decoded, answer };
}

/** How often a text that is too long is shortened: by what the engine counted each time, or by half. */
const MAX_CUTS = 6;
/** Below the counted length: tokens vary in length. */
const MARGIN = 0.95;

/** The answer for texts, which are shortened until they fit into the context. Rejects like `answerOf`. */
async function fittingAnswer(
  inference: OllamaOptions["inference"],
  input: readonly string[],
  isTruncated: boolean,
  callOf: (texts: readonly string[]) => InferenceCall,
): Promise<CollectedAnswer> {
  let texts = input;
  for (let cuts = 0; ; cuts++) {
    try {
      return await answerOf(inference, callOf(texts));
    } catch (error) {
      const isTooLong = isAssistantError(error) && error.code === "context_length_exceeded";
      if (!isTooLong || !isTruncated || cuts === MAX_CUTS) throw error;
      const { n_prompt_tokens: prompt, n_ctx: context } = error.counts ?? {};
      const share = prompt === undefined || context === undefined ? 0.5 : Math.min(1, context / prompt) * MARGIN;
      const most = Math.floor(Math.max(...texts.map((text) => text.length)) * share);
      texts = texts.map((text) => text.slice(0, most).toWellFormed());
    }
  }
}

/** Texts that are not empty; null and "" count as none. */
function textsOf({ input }: JsonObject): readonly string[] {
  if (!isGiven(input) || input === "") return [];
  const texts: readonly unknown[] = Array.isArray(input) ? input : [input];
  const wrong = texts.findIndex((each) => !isString(each));
  if (wrong < 0) return texts as readonly string[];
  const at = Array.isArray(input) ? `input[${wrong}]` : "input";
  throw invalid(at, `"${at}" must be a text; found ${shown(texts[wrong])}.`);
}

interface Embeddings {
  readonly data?: readonly { readonly index?: number; readonly embedding?: Vector }[];
}

function answerBody(answer: JsonObject, model: string, metrics: Metrics, body: VectorRequest["body"]): JsonObject {
  metrics.add(answer, false);
  const data = [...((answer as Embeddings).data ?? [])].sort((a, b) => (a.index ?? 0) - (b.index ?? 0));
  const { total_duration, load_duration, prompt_eval_count = 0 } = metrics.fields;
  const vectors = data.map(({ embedding = [] }) => embedding);
  return body(model, vectors, { total_duration, load_duration, prompt_eval_count });
}

function unit(vector: Vector): Vector {
  const length = Math.hypot(...vector);
  return length === 0 || Math.abs(length - 1) < 1e-6 ? vector : vector.map((value) => value / length);
}
