import type { WireFormat } from "../../../core/inference.ts";
import type { Operation as ModelOperation } from "../../../core/model.ts";
import { checkContentType, decodeBody } from "../../canonical/decode.ts";
import type { Operation } from "../../canonical/field-table.ts";
import { checkFormType, decodeForm } from "../../canonical/form.ts";
import type { Door, InferenceRoute } from "../../front/door.ts";
import { bearerDoor } from "../../front/error-body.ts";
import { decodeImage } from "./images.ts";
import { type MemoryRoutesOptions, registerMemoryRoutes } from "./memory-routes.ts";
import { decodeRerank, decodeScore } from "./rerank.ts";
import { decodeResponse } from "./responses/decode.ts";

type Route = Pick<InferenceRoute, "name" | "operation" | "wire" | "decode" | "checkHeaders">;

const json = (name: string, operation: ModelOperation, wire: WireFormat, decode: Route["decode"]): Route => ({
  ...{ name, operation, wire, decode },
  checkHeaders: checkContentType,
});
const listed = (name: string, operation: Operation, wire: WireFormat): Route =>
  json(name, operation, wire, (bytes) => decodeBody(operation, bytes));
const form = (name: string, operation: "transcription" | "translation", wire: WireFormat): Route => ({
  ...{ name, operation, wire },
  checkHeaders: checkFormType,
  decode: (bytes, headers) => decodeForm(operation, bytes, headers),
});

const routes: readonly Route[] = [
  listed("/v1/chat/completions", "chat", "openai.chat"),
  listed("/v1/completions", "completion", "openai.completion"),
  json("/v1/responses", "chat", "openai.chat", decodeResponse),
  listed("/v1/embeddings", "embedding", "openai.embedding"),
  listed("/v1/audio/speech", "speech", "openai.speech"),
  form("/v1/audio/transcriptions", "transcription", "openai.transcription"),
  form("/v1/audio/translations", "translation", "openai.translation"),
  json("/v1/images/generations", "image", "openai.image", decodeImage),
  json("/v1/rerank", "rerank", "jina.rerank", decodeRerank),
  json("/v1/score", "rerank", "vllm.score", decodeScore),
];

/** OpenAI's API. Its paths answer without `/v1` too, for clients that were given the address alone. */
export const inferenceRoutes: readonly InferenceRoute[] = routes.flatMap((route) =>
  [route.name, route.name.replace("/v1", "")].map((path) => ({ ...route, path })),
);

export const openAiDoor = (options: MemoryRoutesOptions): Door => ({
  ...bearerDoor,
  name: "openai",
  inference: inferenceRoutes,
  register: (app) => registerMemoryRoutes(app, options),
});
