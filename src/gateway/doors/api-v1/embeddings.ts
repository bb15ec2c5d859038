import type { FastifyInstance, FastifyRequest } from "fastify";
import { requiredText, text } from "../../../config/schema/kit.ts";
import { AssistantError } from "../../../core/errors.ts";
import { newRequestId } from "../../../core/ids.ts";
import { bodyOf } from "../../../core/inference.ts";
import { Type } from "../../../core/schema.ts";
import { answerOf } from "../../../inference/collect.ts";
import type { InferenceCore } from "../../../inference/core.ts";
import type { ModelDirectory } from "../../../inference/resolve.ts";
import type { Authorizer } from "../../front/authorize.ts";
import { callHeaders } from "../../front/call-headers.ts";
import { checkedBody, statedBody } from "../../front/checked-body.ts";
import type { RouteDescription } from "../../front/describe.ts";
import { cancellationOf } from "../../front/disconnect.ts";
import { spanOfRequest } from "../../front/request-span.ts";

export interface EmbeddingRoutesOptions {
  readonly directory: ModelDirectory;
  readonly inference: InferenceCore;
  readonly authorizer: Pick<Authorizer, "admit">;
  /** The listener only serves these models; null: all. */
  readonly onlyModels: readonly string[] | null;
}

const MAX_TEXTS = 100;
const PREVIEW_CHARACTERS = 100;
/** The model for requests without one, if it is configured; otherwise the default embedding model. */
const DEFAULT_MODELS = ["intfloat/multilingual-e5-large", "multilingual-e5-large"];

const modelName = { model_name: text("Name of the model.", { minLength: 1 }) };
const EmbeddingsBody = Type.Object({
  texts: Type.Array(Type.String({ minLength: 1 }), { required: true }),
  ...modelName,
});
const SimilarityBody = Type.Object({
  text1: requiredText("A text.", { minLength: 1 }),
  text2: requiredText("Another text.", { minLength: 1 }),
  ...modelName,
});

const EMBEDDINGS: RouteDescription = {
  summary: "Convert texts to unit vectors",
  description: `At most ${MAX_TEXTS} texts.`,
  body: statedBody(EmbeddingsBody),
};
const SIMILARITY: RouteDescription = {
  summary: "Compute the similarity of two texts",
  body: statedBody(SimilarityBody),
};

interface Vectors {
  readonly model: string;
  /** Unit vectors. */
  readonly embeddings: readonly (readonly number[])[];
}

/** Embeddings of texts, and their similarity. */
export function registerEmbeddingRoutes(app: FastifyInstance, options: EmbeddingRoutesOptions): void {
  app.post("/api/v1/embeddings", { config: { describe: EMBEDDINGS } }, async (request) => {
    const { texts, model_name: name } = checkedBody(EmbeddingsBody, request.body);
    if (texts.length === 0 || texts.length > MAX_TEXTS)
      throw new AssistantError("invalid_request", `texts: expected 1 to ${MAX_TEXTS} texts, found ${texts.length}.`, {
        param: "texts",
      });
    const { embeddings, model } = await vectorsOf(texts, name, request, options);
    return { embeddings, model, dimensions: embeddings[0]?.length ?? 0 };
  });
  app.post("/api/v1/embeddings/similarity", { config: { describe: SIMILARITY } }, async (request) => {
    const { text1, text2, model_name: name } = checkedBody(SimilarityBody, request.body);
    const { embeddings, model } = await vectorsOf([text1, text2], name, request, options);
    const [first = [], second = []] = embeddings;
    const cosine = first.reduce((sum, value, index) => sum + value * (second[index] ?? 0), 0);
    return {
      similarity: Math.round(cosine * 1e4) / 1e4,
      model,
      text1_preview: preview(text1),
      text2_preview: preview(text2),
    };
  });
}

async function vectorsOf(
  texts: readonly string[],
  name: string | undefined,
  request: FastifyRequest,
  { directory, inference, authorizer, onlyModels }: EmbeddingRoutesOptions,
): Promise<Vectors> {
  const { caller } = request.identity;
  const model = name ?? DEFAULT_MODELS.find((candidate) => directory.find(candidate) !== undefined) ?? "";
  using cancellation = cancellationOf(request.raw.socket);
  const ended = authorizer.admit(request.identity);
  try {
    const answer = await answerOf(inference, {
      id: newRequestId(),
      caller,
      route: request.routeOptions.url ?? "/api/v1/embeddings",
      arrivedAt: performance.now(),
      cancellation,
      span: spanOfRequest(request.raw),
      selector: { model, among: onlyModels },
      operation: "embedding",
      wire: "openai.embedding",
      body: bodyOf({ model, input: texts }),
      prompt: { text: texts },
      streamed: false,
      maxTokens: 0,
      ...callHeaders(request.headers, false, caller.priority),
    });
    return { model: answer.model, embeddings: embeddingsOf(answer.body) };
  } finally {
    ended?.();
  }
}

function embeddingsOf(body: Buffer): Vectors["embeddings"] {
  const { data } = JSON.parse(body.toString()) as {
    readonly data: readonly { readonly index: number; readonly embedding: readonly number[] }[];
  };
  return [...data].sort((a, b) => a.index - b.index).map(({ embedding }) => unit(embedding));
}

function unit(vector: readonly number[]): readonly number[] {
  const length = Math.hypot(...vector);
  return length === 0 || Math.abs(length - 1) < 1e-6 ? vector : vector.map((value) => value / length);
}

const preview = (whole: string): string =>
  whole.length <= PREVIEW_CHARACTERS ? whole : `${whole.slice(0, PREVIEW_CHARACTERS)}...`;
