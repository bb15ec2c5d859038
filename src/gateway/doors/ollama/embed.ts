import type { AnswerSink, JsonObject } from "../../../core/inference.ts";
import { parseBody } from "../../canonical/decode.ts";
import { integer, invalid, isString, mustBe, shown } from "../../canonical/rules.ts";
import type { DecodedBody } from "../../front/door.ts";
import { type AnswerTranslator, translatedSink } from "../../front/translated-sink.ts";
import { LINES } from "./answers.ts";
import { canonical, flagOf, isGiven, textOf } from "./fields.ts";
import { Metrics } from "./metrics.ts";
import { findModel } from "./names.ts";
import { optionFields } from "./options.ts";
import type { OllamaOptions } from "./ports.ts";
import { keepAliveOf, keptAnswer, residencyAnswer } from "./residency.ts";

/** `/api/embed`. Throws `invalid_request` naming the first wrong field. */
export function decodeEmbed(bytes: Buffer, options: OllamaOptions): DecodedBody {
  const { json } = parseBody(bytes);
  const { dimensions } = json;
  if (isGiven(dimensions)) mustBe(integer(0), dimensions, "dimensions");
  flagOf(json, "truncate", true);
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
  optionFields(json, model, "embedding");
  const isEmpty = input.length === 0;
  const decoded = canonical("embedding", { model: model?.name ?? written, input: isEmpty ? "" : input });
  const translator = new VectorAnswer((vectors, metrics) => body(written, vectors, metrics));
  const translate = (client: AnswerSink): AnswerSink => translatedSink(client, false, translator);
  if (isEmpty) return { ...decoded, answer: residencyAnswer(options, keepAliveMs, () => body(written, [], {})) };
  return keepAliveMs === null
    ? { ...decoded, translate }
    : { ...decoded, answer: keptAnswer(options, keepAliveMs, translate) };
}

/** Texts that are not empty; null and "" stand for none. */
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

class VectorAnswer implements AnswerTranslator {
  readonly streamType = LINES;
  readonly #body: (vectors: readonly Vector[], metrics: JsonObject) => JsonObject;
  readonly #metrics = new Metrics();

  constructor(body: (vectors: readonly Vector[], metrics: JsonObject) => JsonObject) {
    this.#body = body;
  }

  head(headers: readonly string[]): void {
    this.#metrics.head(headers);
  }
  chunk(): string {
    return "";
  }
  end(): string {
    return "";
  }
  whole(answer: JsonObject): JsonObject {
    this.#metrics.add(answer, false);
    const data = [...((answer as Embeddings).data ?? [])].sort((a, b) => (a.index ?? 0) - (b.index ?? 0));
    const { total_duration, load_duration, prompt_eval_count = 0 } = this.#metrics.fields;
    return this.#body(
      data.map(({ embedding = [] }) => embedding),
      { total_duration, load_duration, prompt_eval_count },
    );
  }
}

function unit(vector: Vector): Vector {
  const length = Math.hypot(...vector);
  return length === 0 || Math.abs(length - 1) < 1e-6 ? vector : vector.map((value) => value / length);
}
