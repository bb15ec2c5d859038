import type { WireFormat } from "../../../core/inference.ts";
import type { Operation as ModelOperation } from "../../../core/model.ts";
import {
  chatAnswer,
  chatChunk,
  completionAnswer,
  embeddingAnswer,
  rerankAnswer,
  scoreAnswer,
  transcriptAnswer,
  wholeOrStream,
} from "../../canonical/answer-schema.ts";
import { bodySchema, formSchema } from "../../canonical/body-schema.ts";
import { checkContentType, decodeBody } from "../../canonical/decode.ts";
import type { Operation } from "../../canonical/field-table.ts";
import { checkFormType, decodeForm } from "../../canonical/form.ts";
import type { RouteDescription } from "../../front/describe.ts";
import type { Door, InferenceRoute } from "../../front/door.ts";
import { bearerDoor } from "../../front/error-body.ts";
import type { Batches } from "./batches/batches.ts";
import { registerBatchRoutes } from "./batches/routes.ts";
import { decodeChat, decodeCompletion } from "./chat.ts";
import { registerConversationRoutes } from "./conversations/routes.ts";
import { registerFileRoutes } from "./files/routes.ts";
import type { Files } from "./files/stored.ts";
import { decodeImage, imageBody } from "./images.ts";
import { type MemoryRoutesOptions, registerMemoryRoutes } from "./memory-routes.ts";
import { decodeModeration, moderationAnswer, moderationBody } from "./moderations.ts";
import { decodeRerank, decodeScore, rerankBody, scoreBody } from "./rerank.ts";
import { described } from "./responses/describe.ts";
import { registerResponseRoutes } from "./responses/routes.ts";
import { decodeResponse, type ResponsePorts } from "./responses/serve.ts";

type Route = Pick<InferenceRoute, "name" | "operation" | "wire" | "decode" | "checkHeaders"> & {
  readonly describe: RouteDescription;
};
type Stated = Pick<RouteDescription, "summary" | "answers">;

const json = (
  name: string,
  operation: ModelOperation,
  wire: WireFormat,
  decode: Route["decode"],
  describe: RouteDescription,
): Route => ({ ...{ name, operation, wire, decode, describe }, checkHeaders: checkContentType });
const listed = (
  name: string,
  title: string,
  operation: Operation,
  wire: WireFormat,
  stated: Stated,
  decode: Route["decode"] = (bytes) => decodeBody(operation, bytes),
): Route => json(name, operation, wire, decode, { ...stated, body: { title, ...bodySchema(operation) } });
const form = (
  name: string,
  title: string,
  operation: "transcription" | "translation",
  wire: WireFormat,
  summary: string,
): Route => ({
  ...{ name, operation, wire },
  checkHeaders: checkFormType,
  decode: (bytes, headers) => decodeForm(operation, bytes, headers),
  describe: {
    summary,
    body: { title, ...formSchema(operation) },
    bodyType: "multipart/form-data",
    answers: {
      "application/json": transcriptAnswer,
      "text/plain": { type: "string" },
      "text/event-stream": { type: "object" },
    },
  },
});

const SOUND = { type: "string", format: "binary" };

const routes: readonly Route[] = [
  listed(
    "/v1/completions",
    "CompletionRequest",
    "completion",
    "openai.completion",
    { summary: "Continue a text", answers: wholeOrStream(completionAnswer, completionAnswer) },
    decodeCompletion,
  ),
  listed("/v1/embeddings", "EmbeddingRequest", "embedding", "openai.embedding", {
    summary: "Convert texts to vectors",
    answers: { "application/json": embeddingAnswer },
  }),
  listed("/v1/audio/speech", "SpeechRequest", "speech", "openai.speech", {
    summary: "Speak a text",
    answers: { "audio/*": SOUND, "text/event-stream": { type: "object" } },
  }),
  form(
    "/v1/audio/transcriptions",
    "TranscriptionForm",
    "transcription",
    "openai.transcription",
    "Transcribe a recording",
  ),
  form("/v1/audio/translations", "TranslationForm", "translation", "openai.translation", "Translate a recording"),
  json("/v1/images/generations", "image", "openai.image", decodeImage, {
    summary: "Generate images",
    description: "Body and answer are those of the program that runs the model.",
    body: imageBody,
  }),
  json("/v1/moderations", "moderation", "openai.moderation", decodeModeration, {
    summary: "Judge whether texts and images may be harmful",
    description: "Of models of providers that do this.",
    body: moderationBody,
    answers: { "application/json": moderationAnswer },
  }),
  json("/v1/rerank", "rerank", "jina.rerank", decodeRerank, {
    summary: "Order documents by how well they answer a query",
    body: rerankBody,
    answers: { "application/json": rerankAnswer },
  }),
  json("/v1/score", "rerank", "vllm.score", decodeScore, {
    summary: "Score pairs of texts",
    body: scoreBody,
    answers: { "application/json": scoreAnswer },
  }),
];

/** OpenAI's API. Its paths also work without `/v1`, for clients configured with only the address. */
export const inferenceRoutes = (ports: ResponsePorts): readonly InferenceRoute[] =>
  [
    listed(
      "/v1/chat/completions",
      "ChatRequest",
      "chat",
      "openai.chat",
      { summary: "Answer a conversation", answers: wholeOrStream(chatAnswer, chatChunk) },
      (bytes) => decodeChat(bytes, ports),
    ),
    ...routes,
    json("/v1/responses", "chat", "openai.chat", (bytes) => decodeResponse(bytes, ports), described.create),
  ].flatMap((route) => [route.name, route.name.replace("/v1", "")].map((path) => ({ ...route, path })));

const BATCHED: readonly string[] = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"];

/** The routes whose requests may be lines of a batch. */
export const batchRoutes = (ports: ResponsePorts): readonly InferenceRoute[] =>
  inferenceRoutes(ports).filter(({ path }) => BATCHED.includes(path));

export interface OpenAiOptions extends MemoryRoutesOptions, ResponsePorts {
  /** Null: none is kept. */
  readonly files: Files | null;
  /** Null: there are none. */
  readonly batches: Batches | null;
}

export const openAiDoor = (options: OpenAiOptions): Door => ({
  ...bearerDoor,
  name: "openai",
  inference: inferenceRoutes(options),
  register(app) {
    registerMemoryRoutes(app, options);
    if (options.responses !== null) registerResponseRoutes(app, options.responses);
    if (options.conversations !== null) registerConversationRoutes(app, options.conversations);
    if (options.files !== null) registerFileRoutes(app, options.files);
    if (options.batches !== null) registerBatchRoutes(app, options.batches);
  },
});
